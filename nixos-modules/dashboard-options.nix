# The options of the dashboard.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.switchyard.dashboard;
  secrets = import ./secrets.nix { inherit lib; };
  credentials = "/run/credentials/switchyard-dashboard.service";
in
{
  options.services.switchyard.dashboard = {
    enable = lib.mkEnableOption "the Switchyard dashboard, which shows and deploys the fleet";

    package = lib.mkPackageOption pkgs "switchyard" { };

    agents = mkOption {
      type = types.attrsOf (types.nonEmptyListOf (types.strMatching "[0-9a-f]{64}"));
      default = { };
      example.web1 = [ "c7684b85dfdcff2099b30533ac4a8f51cb24dc57649ea5d5e8cdd9f480b60d5b" ];
      description = ''
        The hosts, each with the hashes of its tokens, which `switchyard token HOST` prints.
        They are hashes of 256 random bits and no secret. A host may have two while its token is being changed.
        A change takes effect by a reload: whose hash is gone is shut out at once, and nobody else notices.
      '';
    };

    agentsFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-agents";
      description = ''
        A file with lines `HOST SHA256`, in place of {option}`services.switchyard.dashboard.agents`.
        After a change, reload the service with systemd 260 or later, and restart it with an older one.
      '';
    };

    usersFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-users";
      description = ''
        A file with lines `NAME viewer|operator|admin HASH`: who may see, who may deploy, who may do everything.
        `switchyard passwd` prints the hash of a password, `switchyard token --user NAME ROLE` that of an API token.
        Without it every visitor is an admin, so the dashboard is then for this machine alone.
        After a change, reload the service with systemd 260 or later, and restart it with an older one.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to open the port of {option}`services.switchyard.dashboard.settings.listen` in the firewall.
        A reverse proxy on the same machine does not need it.
      '';
    };

    settings = mkOption {
      description = ''
        The dashboard's configuration file, which is checked when the system is built.
        What is no option here is written to the file as it is.
      '';
      default = { };
      example = {
        public_url = "https://fleet.example.org";
        retention.days = 90;
      };
      type = types.submodule {
        freeformType = (pkgs.formats.toml { }).type;
        options = {
          listen = mkOption {
            type = types.strMatching ".+:[0-9]+";
            default = "127.0.0.1:8000";
            example = "[::]:8000";
            description = ''
              The address and port to listen on. There is no TLS: put a reverse proxy in front of what leaves the machine.
            '';
          };

          public_url = mkOption {
            type = types.nullOr (types.strMatching "https?://.+");
            default = null;
            example = "https://fleet.example.org";
            description = ''
              The address under which browsers reach the dashboard. A request for another one is refused.
            '';
          };

          data_dir = mkOption {
            # In quotes: a path without them would be copied into the store.
            type = types.strMatching "/.+";
            default = "/var/lib/switchyard";
            description = ''
              Where logs and state are kept. It must be below {file}`/var/lib`; for another disk, mount that there.
            '';
          };

          proxy.trusted = mkOption {
            type = types.listOf types.str;
            default = lib.optionals (
              cfg.settings.public_url != null && !(cfg.settings.proxy ? user_header)
            ) [
              "127.0.0.1"
              "::1"
            ];
            defaultText = lib.literalMD "this machine, if `public_url` is set and `proxy.user_header` is not";
            example = [ "192.0.2.1" ];
            description = ''
              The addresses of reverse proxies, whose `X-Forwarded-For` is believed. Without it all who come through a
              proxy count as one address, and one of them who guesses passwords makes the others wait.
            '';
          };

          audit.max_bytes = mkOption {
            type = types.ints.between 1048576 1152921504606846976;
            default = 1073741824;
            description = "How large all files of the audit log together may become, in bytes, until the oldest is deleted.";
          };

          retention.days = mkOption {
            type = types.ints.unsigned;
            default = 0;
            example = 90;
            description = "After how many days a run is deleted; 0: never.";
          };

          retention.max_bytes = mkOption {
            type = types.ints.unsigned;
            default = 0;
            example = 21474836480;
            description = "How large all logs together may become on disk, in bytes (in blocks of 4 KiB, and 1 KiB for what else a run takes), until the oldest of the host with most are deleted. Runs that go on and the newest of each host stay; where those take too much, the other hosts keep half of it for theirs. 0: without limit.";
          };

          agents_file = mkOption {
            type = types.str;
            default = if cfg.agentsFile == null then "/etc/switchyard/agents" else "${credentials}/agents";
            internal = true;
            description = "Set {option}`services.switchyard.dashboard.agents`.";
          };

          users_file = mkOption {
            type = types.nullOr types.str;
            default = if cfg.usersFile == null then null else "${credentials}/users";
            internal = true;
            description = "Set {option}`services.switchyard.dashboard.usersFile`.";
          };
        };
      };
    };
  };
}
