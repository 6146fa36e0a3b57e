# The dashboard: keeps every run's log and shows the fleet. It needs no privilege at all.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.switchyard.dashboard;
  credentials = "/run/credentials/switchyard-dashboard.service";
  settingsFile = import ./checked-settings.nix { inherit lib pkgs; } {
    service = "dashboard";
    inherit (cfg) package settings;
  };
  agentLines = lib.concatLists (
    lib.mapAttrsToList (host: hashes: map (hash: "${host} ${hash}\n") hashes) cfg.agents
  );
in
{
  options.services.switchyard.dashboard = {
    enable = lib.mkEnableOption "the Switchyard dashboard";

    package = lib.mkPackageOption pkgs "switchyard" { };

    settings = mkOption {
      description = "The dashboard's configuration file. It is checked when the system is built.";
      default = { };
      type = types.submodule {
        freeformType = (pkgs.formats.toml { }).type;
        options = {
          listen = mkOption {
            type = types.str;
            default = "127.0.0.1:8000";
            description = "Address and port to listen on.";
          };
          data_dir = mkOption {
            type = types.path;
            default = "/var/lib/switchyard";
            description = "Where logs and state are kept.";
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
          public_url = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "https://fleet.example.org";
            description = "The address under which browsers reach the dashboard.";
          };
        };
      };
      example = {
        public_url = "https://fleet.example.org";
        retention.days = 90;
      };
    };

    agents = mkOption {
      type = types.attrsOf (types.listOf (types.strMatching "[0-9a-f]{64}"));
      default = { };
      example.web1 = [ "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" ];
      description = ''
        The hashes of each host's tokens, as `switchyard token HOST` prints them.
        They are hashes of 256 random bits and no secret. A change takes effect by a reload, without a restart.
      '';
    };

    agentsFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/switchyard-agents";
      description = "File with lines `HOST SHA256`, in place of {option}`services.switchyard.dashboard.agents`.";
    };

    usersFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/switchyard-users";
      description = ''
        File with lines `NAME viewer|operator|admin HASH`; `switchyard passwd` and `switchyard token --user` print hashes.
        Without it every visitor is an admin, and the dashboard starts only on loopback.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of {option}`services.switchyard.dashboard.settings.listen`.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.agentsFile == null || cfg.agents == { };
        message = "services.switchyard.dashboard: set either agents or agentsFile, not both.";
      }
    ];

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [
      (lib.toInt (lib.last (lib.splitString ":" cfg.settings.listen)))
    ];

    environment.etc."switchyard/agents" = lib.mkIf (cfg.agentsFile == null) {
      text = lib.concatStrings agentLines;
    };

    systemd.services.switchyard-dashboard = {
      description = "Switchyard dashboard";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      startLimitIntervalSec = 0;
      reloadTriggers = agentLines;
      serviceConfig = {
        Type = "notify";
        ExecStart = "${lib.getExe cfg.package} dashboard --config ${settingsFile}";
        ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
        WatchdogSec = 30;
        Restart = "always";
        RestartSec = 2;
        TimeoutStopSec = 10;
        LoadCredential =
          lib.optional (cfg.agentsFile != null) "agents:${cfg.agentsFile}"
          ++ lib.optional (cfg.usersFile != null) "users:${cfg.usersFile}";
        # Reads the credentials again at a reload, from systemd 260 on; older ones ignore it.
        RefreshOnReload = "credentials";

        DynamicUser = true;
        StateDirectory = "switchyard";
        StateDirectoryMode = "0700";
        UMask = "0077";
        CapabilityBoundingSet = "";
        DevicePolicy = "closed";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        PrivateUsers = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
      };
    };
  };
}
