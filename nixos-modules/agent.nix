# The agent: runs the commands that the dashboard names. It is root, because it activates systems.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.switchyard.agent;
  settingsFile = import ./checked-settings.nix { inherit lib pkgs; } {
    service = "agent";
    inherit (cfg) package settings;
  };
in
{
  options.services.switchyard.agent = {
    enable = lib.mkEnableOption "the Switchyard agent, which lets the dashboard deploy this host";

    package = lib.mkPackageOption pkgs "switchyard" { };

    settings = mkOption {
      description = "The agent's configuration file. It is checked when the system is built.";
      type = types.submodule {
        freeformType = (pkgs.formats.toml { }).type;
        options = {
          dashboard = mkOption {
            type = types.strMatching "wss?://.+";
            example = "wss://fleet.example.org";
            description = ''
              Where the dashboard is. `ws://` is refused for anything but loopback,
              unless `allow_plaintext` is true.
            '';
          };
          host_id = mkOption {
            type = types.str;
            default = config.networking.hostName;
            defaultText = lib.literalExpression "config.networking.hostName";
            description = "The name of this host on the dashboard.";
          };
          token_file = mkOption {
            type = types.str;
            default = "/run/credentials/switchyard-agent.service/token";
            internal = true;
            description = "Where the agent finds its token; set {option}`services.switchyard.agent.tokenFile`.";
          };
          state_dir = mkOption {
            type = types.path;
            default = "/var/lib/switchyard-agent";
            description = "Where the agent keeps the output of its runs and the clone of the configuration.";
          };
        };
      };
      example = lib.literalExpression ''
        {
          dashboard = "wss://fleet.example.org";
          repo = {
            url = "git@git.example.org:me/config.git";
            branch = "main";
          };
        }
      '';
    };

    tokenFile = mkOption {
      type = types.externalPath;
      example = "/run/secrets/switchyard-token";
      description = ''
        File with this host's token, as `switchyard token` prints it.
        It is read as root when the agent starts, and never enters the store.
      '';
    };

    sshKeyFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/deploy-key";
      description = ''
        Private key with which git fetches the configuration over ssh.
        The server's key belongs into {option}`programs.ssh.knownHosts`.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.settings.host_id != "";
        message = "services.switchyard.agent.settings.host_id is empty: set it, or networking.hostName.";
      }
    ];

    systemd.services.switchyard-agent = {
      description = "Switchyard agent";
      wantedBy = [ "multi-user.target" ];
      # It reconnects for ever, so it need not wait for the network.
      after = [ "network.target" ];
      # A switch that the agent itself runs restarts it at the end; it must not stop it at the beginning.
      stopIfChanged = false;
      startLimitIntervalSec = 0;
      # Removed by a switch, it finishes that run.
      unitConfig.X-StopOnRemoval = false;
      path = [
        "/run/wrappers"
        config.system.build.nixos-rebuild
        config.nix.package.out
        config.programs.ssh.package
        pkgs.gitMinimal
        pkgs.gnutar
        pkgs.gzip
        pkgs.xz
      ];
      environment =
        config.nix.envVars
        // config.networking.proxy.envVars
        // {
          inherit (config.environment.sessionVariables) NIX_PATH;
          HOME = "/root";
        }
        // lib.optionalAttrs (cfg.sshKeyFile != null) {
          # Each run is a service of its own and loads the key itself.
          SWITCHYARD_SSH_KEY = cfg.sshKeyFile;
        };
      serviceConfig = {
        Type = "notify";
        ExecStart = "${lib.getExe cfg.package} agent --config ${settingsFile}";
        WatchdogSec = 30;
        Restart = "always";
        RestartSec = 2;
        TimeoutStopSec = 10;
        StateDirectory = "switchyard-agent";
        StateDirectoryMode = "0700";
        UMask = "0077";
        LoadCredential = [ "token:${cfg.tokenFile}" ];
      };
    };
  };
}
