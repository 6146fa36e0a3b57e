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
        The hashes are not secret: they are made from 256 random bits. A host may have two while its token is being
        changed.
        A change takes effect by a reload: a host whose hash was removed is disconnected at once, all others stay
        connected.
      '';
    };

    agentsFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-agents";
      description = ''
        A file with lines `HOST SHA256`, in place of {option}`services.switchyard.dashboard.agents`.
        After a change, reload the service; with a systemd older than 260, restart it instead.
      '';
    };

    usersFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-users";
      description = ''
        A file with lines `NAME viewer|operator|admin HASH`: viewers see, operators also deploy, admins also manage
        access.
        `switchyard passwd` prints the hash of a password, `switchyard token --user NAME ROLE` that of an API token.
        Without it every visitor is an admin, so the dashboard then starts only on a loopback address and without
        `public_url`.
        After a change, reload the service; with a systemd older than 260, restart it instead.
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
        Keys without an option of their own are written to the file unchanged. Those of the dashboard, with their
        defaults: `sessions.idle` (43200 seconds), `sessions.lifetime` (604800 seconds), `limits.connections` (8192),
        `limits.connections_per_address` (256), `limits.strangers` (1024), `limits.people` (512) and `proxy.user_header`
        (none).
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
              The address and port to listen on. The dashboard itself has no TLS: for browsers and hosts on other
              machines, put a reverse proxy with TLS in front of it.
            '';
          };

          public_url = mkOption {
            type = types.nullOr (types.strMatching "https?://.+");
            default = null;
            example = "https://fleet.example.org";
            description = ''
              The address at which browsers reach the dashboard. Requests for another address are refused, except for
              localhost and requests with a valid token.
            '';
          };

          data_dir = mkOption {
            # In quotes: a path without them would be copied into the store.
            type = types.strMatching "/.+";
            default = "/var/lib/switchyard";
            description = ''
              The folder for logs and database. It must be below {file}`/var/lib`; to use another disk, mount it there.
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
              The IP addresses of reverse proxies whose `X-Forwarded-For` header is trusted. Without it, everyone who
              comes through a proxy counts as one address: if one of them guesses passwords, the others must wait, too.
            '';
          };

          audit.max_bytes = mkOption {
            type = types.ints.between 1048576 1152921504606846976;
            default = 1073741824;
            description = ''
              Largest size of all files of the audit log together, in bytes. Beyond it the oldest file is deleted.
            '';
          };

          retention.days = mkOption {
            type = types.ints.unsigned;
            default = 0;
            example = 90;
            description = ''
              Runs that ended more than this many days ago are deleted, except the newest of each host. 0: never.
            '';
          };

          retention.max_bytes = mkOption {
            type = types.ints.unsigned;
            default = 0;
            example = 21474836480;
            description = ''
              Largest size of all logs together on disk, in bytes; 0: no limit. A run counts its files in whole blocks
              of 4 KiB, and 1 KiB more. Beyond the limit the oldest runs of the host that takes most are deleted.
              Running runs and the newest run of each host are kept; if those of one host take too much, the other hosts
              keep half of the limit.
            '';
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
