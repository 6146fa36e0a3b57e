# The agent: runs the commands that the dashboard names. It is root, because it activates systems; its own sandbox
# limits accidents. Each run is a service of its own, which has nothing of that sandbox.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.switchyard.agent;
  inherit (cfg) settings;
  option = "services.switchyard.agent";
  secrets = import ./secrets.nix { inherit lib; };
  settingsFile = import ./checked-settings.nix { inherit lib pkgs; } {
    service = "agent";
    inherit (cfg) package;
    inherit settings;
  };

  unit = (lib.importJSON ./units.json).agent;
  packages = {
    inherit (pkgs)
      bash
      gnutar
      gzip
      xz
      ;
    git = pkgs.gitMinimal;
    nix = config.nix.package.out;
    nixos-rebuild = config.system.build.nixos-rebuild;
    openssh = config.programs.ssh.package;
  };
  programs = map (name: if lib.hasPrefix "/" name then name else packages.${name});

  isLocal =
    builtins.match "wss?://(localhost|127\\.[0-9.]+|\\[::1])(:[0-9]+)?/?" settings.dashboard != null;
  isPlain = lib.hasPrefix "ws:" settings.dashboard;

  repoDir = settings.repo.dir;
  isBelow = folder: path: lib.hasPrefix "${folder}/" "${path}/";
  isInHome = lib.any (home: isBelow home repoDir) [
    "/home"
    "/root"
    "/run/user"
  ];
in
{
  imports = [ ./agent-options.nix ];

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.nix.enable;
        message = ''
          ${option}: nix.enable is off, so this host can neither build nor switch to a system. Set nix.enable
          to true, or ${option}.enable to false.
        '';
      }
      {
        assertion = cfg.tokenFile != null || cfg.enrolmentFile != null;
        message = ''
          ${option}.tokenFile is not set. Create a token with `switchyard token ${settings.host_id}`. Put the token into
          a secret of this host, and its hash into services.switchyard.dashboard.agents on the machine of the dashboard.
          Or let the agent get its token from the dashboard: see ${option}.enrolmentFile.
        '';
      }
      {
        assertion = cfg.tokenFile == null || cfg.enrolmentFile == null;
        message = ''
          ${option}: set either tokenFile or enrolmentFile, not both. With enrolmentFile the agent gets its token
          from the dashboard and keeps it in ${settings.state_dir}.
        '';
      }
      (secrets.outsideStore "${option}.tokenFile" cfg.tokenFile)
      (secrets.outsideStore "${option}.enrolmentFile" cfg.enrolmentFile)
      (secrets.outsideStore "${option}.sshKeyFile" cfg.sshKeyFile)
      {
        assertion =
          builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,62}" settings.host_id != null
          && !lib.hasInfix ".." settings.host_id;
        message = ''
          ${option}.settings.host_id is "${settings.host_id}", which is not a valid host name: use letters, digits, '.',
          '_' and '-', at most 63 characters, beginning with a letter or digit, without "..". Set it, or
          networking.hostName.
        '';
      }
      {
        assertion = isPlain -> isLocal || settings.allow_plaintext;
        message = ''
          ${option}.settings.dashboard is ${settings.dashboard}: that would send the token and every line unencrypted
          to another machine. Use wss://, or set allow_plaintext where the network itself is encrypted.
        '';
      }
      {
        assertion = isBelow "/var/lib" settings.state_dir && settings.state_dir != "/var/lib";
        message = "${option}.settings.state_dir must be a folder below /var/lib; mount another disk there.";
      }
    ];

    warnings =
      lib.optional (isPlain && !isLocal && settings.allow_plaintext) ''
        ${option}: the token and all output are sent to ${settings.dashboard} unencrypted. Use wss://, unless the
        network itself is encrypted, such as in a VPN.
      ''
      ++
        lib.optional
          (settings.repo.url == null && repoDir == null && (settings.commands.switch.steps or null) == null)
          ''
            ${option}.settings.repo.url is not set, so the dashboard can neither pull nor switch this host. Set it, or
            settings.repo.dir, or settings.commands.switch.steps.
          ''
      ++ lib.optional (!config.system.switch.enable) ''
        ${option}: system.switch.enable is off, so this host cannot be switched. Set it to true, or
        ${option}.enable to false.
      '';

    systemd.services.switchyard-agent = lib.mkMerge [
      (removeAttrs unit [
        "path"
        "lastPath"
      ])
      {
        # A switch that the agent itself runs restarts it at the end; it must not stop it at the beginning.
        stopIfChanged = false;
        # What runs find there, too: at last everything that the host has, for its checks and activation scripts.
        path = lib.mkMerge [
          (programs unit.path)
          # Behind what NixOS gives to every service.
          (lib.mkOrder 2000 (programs unit.lastPath))
        ];
        environment =
          config.nix.envVars
          // config.networking.proxy.envVars
          // {
            HOME = "/root";
          }
          # Not there where channels and nix are off.
          // lib.optionalAttrs (config.environment.sessionVariables ? NIX_PATH) {
            inherit (config.environment.sessionVariables) NIX_PATH;
          }
          # A run loads them itself, since the agent's credentials go with the agent.
          // lib.optionalAttrs (cfg.sshKeyFile != null) { SWITCHYARD_SSH_KEY = toString cfg.sshKeyFile; }
          // lib.optionalAttrs (cfg.sshKnownHostsFile != null) {
            SWITCHYARD_SSH_KNOWN_HOSTS = "${cfg.sshKnownHostsFile}";
          };
        serviceConfig = {
          ExecStart = "${lib.getExe cfg.package} agent --config ${settingsFile}";
          StateDirectory = lib.removePrefix "/var/lib/" settings.state_dir;
          LoadCredential =
            lib.optional (cfg.tokenFile != null) "token:${toString cfg.tokenFile}"
            ++ lib.optional (cfg.enrolmentFile != null) "enrolment:${toString cfg.enrolmentFile}";
          # In the place of a secret that is gone because the host has its token; without it systemd would not start it.
          SetCredential = lib.mkIf (cfg.enrolmentFile != null) "enrolment:\\n";
        };
      }
      (lib.mkIf (repoDir != null) {
        serviceConfig.ProtectHome = lib.mkIf isInHome (lib.mkOverride 90 "read-only");
      })
    ];
  };
}
