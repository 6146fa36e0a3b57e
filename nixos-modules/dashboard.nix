# The dashboard: keeps every run's log and shows the fleet. It needs no privilege at all.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.switchyard.dashboard;
  inherit (cfg) settings;
  option = "services.switchyard.dashboard";
  secrets = import ./secrets.nix { inherit lib; };
  settingsFile = import ./checked-settings.nix { inherit lib pkgs; } {
    service = "dashboard";
    inherit (cfg) package;
    inherit settings;
  };

  agentLines = lib.concatLists (
    lib.mapAttrsToList (host: hashes: map (hash: "${host} ${hash}\n") hashes) cfg.agents
  );
  # As the program has it, which ends where its agents file is not right.
  isHost =
    host: builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,62}" host != null && !lib.hasInfix ".." host;
  oddHosts = lib.filter (host: !isHost host) (lib.attrNames cfg.agents);
  hostsWithMore = lib.attrNames (lib.filterAttrs (_: hashes: lib.length hashes > 2) cfg.agents);

  isLocal = builtins.match "(127\\.[0-9.]+|\\[::1]):[0-9]+" settings.listen != null;
in
{
  imports = [ ./dashboard-options.nix ];

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.agentsFile == null || cfg.agents == { };
        message = "${option}: set either agents or agentsFile, not both.";
      }
      {
        assertion = lib.allUnique (lib.concatLists (lib.attrValues cfg.agents));
        message = ''
          ${option}.agents: two entries have the same hash. Each host needs its own token: create one with
          `switchyard token HOST`.
        '';
      }
      {
        assertion = oddHosts == [ ];
        message = ''
          ${option}.agents: not a valid host name: ${lib.concatStringsSep ", " oddHosts}; use letters, digits, '.', '_'
          and '-', at most 63 characters, beginning with a letter or digit, without "..".
        '';
      }
      {
        assertion = hostsWithMore == [ ];
        message = ''
          ${option}.agents: too many hashes of ${lib.concatStringsSep ", " hostsWithMore}: a host may have at most two,
          the old and the new one. Remove the others.
        '';
      }
      {
        assertion = settings.users_file != null || (isLocal && settings.public_url == null);
        message = ''
          ${option}.usersFile is not set, so every visitor would be an admin, and the dashboard can be reached from
          other machines. Set usersFile, or listen on 127.0.0.1 without public_url.
        '';
      }
      {
        assertion = lib.hasPrefix "/var/lib/" settings.data_dir;
        message = "${option}.settings.data_dir must be a folder below /var/lib; mount another disk there.";
      }
      (secrets.outsideStore "${option}.usersFile" cfg.usersFile)
      (secrets.outsideStore "${option}.agentsFile" cfg.agentsFile)
    ];

    warnings =
      lib.optional (cfg.agents == { } && cfg.agentsFile == null) ''
        ${option}.agents is empty, so no host can connect. `switchyard token HOST` prints what belongs there.
      ''
      ++ lib.optional (settings.public_url != null && lib.hasPrefix "http:" settings.public_url) ''
        ${option}.settings.public_url begins with http: passwords would cross the network unencrypted, and browsers keep
        no session at such an address. Nobody can sign in there with a password; use https://, or a tunnel to localhost.
      ''
      ++ lib.optional (cfg.openFirewall && isLocal) ''
        ${option}.openFirewall is set, but the dashboard listens only on ${settings.listen}. Set settings.listen to an
        address that other machines can reach, or openFirewall to false.
      '';

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [
      (lib.toInt (lib.last (lib.splitString ":" settings.listen)))
    ];

    # `switchyard admin`.
    environment.systemPackages = [ cfg.package ];

    environment.etc."switchyard/agents" = lib.mkIf (cfg.agentsFile == null) {
      text = lib.concatStrings agentLines;
    };

    systemd.services.switchyard-dashboard = lib.mkMerge [
      (lib.importJSON ./units.json).dashboard
      {
        reloadTriggers = agentLines;
        serviceConfig = {
          ExecStart = "${lib.getExe cfg.package} dashboard --config ${settingsFile}";
          StateDirectory = lib.removePrefix "/var/lib/" settings.data_dir;
          LoadCredential =
            lib.optional (cfg.agentsFile != null) "agents:${toString cfg.agentsFile}"
            ++ lib.optional (cfg.usersFile != null) "users:${toString cfg.usersFile}";
        };
      }
    ];
  };
}
