# The tests in virtual machines, as `runNixOSTest` takes them: the nodes are made of the values of nodes.nix, and each
# script is api.py and then the file of the test's name. tests/vm/run checks the same scripts and runs them in
# containers.
{ self }:
let
  # The secrets are in /etc, since these are tests.
  secret = text: {
    mode = "0400";
    inherit text;
  };

  dashboard =
    {
      settings,
      agents,
      users,
    }:
    {
      imports = [ self.nixosModules.dashboard ];
      services.switchyard.dashboard = {
        enable = true;
        openFirewall = true;
        usersFile = "/etc/switchyard-users";
        inherit agents settings;
      };
      environment.etc.switchyard-users = secret (builtins.concatStringsSep "\n" users + "\n");
    };

  agent =
    { settings, token }:
    {
      imports = [ self.nixosModules.agent ];
      # Machines of the tests cannot be switched by default.
      system.switch.enable = true;
      services.switchyard.agent = {
        enable = true;
        tokenFile = "/etc/switchyard-token";
        inherit settings;
      };
      environment.etc.switchyard-token = secret token;
    };

  git =
    folder:
    { pkgs, ... }:
    {
      services.gitDaemon = {
        enable = true;
        basePath = folder;
        exportAll = true;
      };
      systemd.tmpfiles.rules = [ "d ${folder} 0755 git git" ];
      networking.firewall.allowedTCPPorts = [ 9418 ];
      environment.systemPackages = [ pkgs.gitMinimal ];
    };

  system =
    { lib }:
    {
      etc ? { },
      mark ? null,
      agent ? true,
    }:
    {
      configuration = {
        environment.etc = lib.mapAttrs (_name: text: { inherit text; }) etc;
        systemd.services.switchyard-agent = lib.mkIf (mark != null) { environment.MARK = mark; };
        services.switchyard.agent = lib.mkIf (!agent) { enable = lib.mkForce false; };
      };
    };

  node =
    values:
    { lib, pkgs, ... }:
    {
      imports =
        lib.optional (values ? dashboard) (dashboard values.dashboard)
        ++ lib.optional (values ? agent) (agent values.agent)
        ++ lib.optional (values ? git) (git values.git);
      environment.systemPackages = [ pkgs.curl ];
      specialisation = lib.mapAttrs (_name: system { inherit lib; }) (values.systems or { });
    };
in
builtins.mapAttrs (name: nodes: {
  name = "switchyard-${name}";
  nodes = builtins.mapAttrs (_name: node) nodes;
  testScript = builtins.readFile ./api.py + builtins.readFile (./. + "/${name}.py");
}) (import ./nodes.nix)
