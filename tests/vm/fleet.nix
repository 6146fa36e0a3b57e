# What the tests share: a dashboard, which has a git server too, and hosts. Every token is `token of HOST`, and the
# secrets are in /etc, since these are tests.
{ self }:
let
  hash = builtins.hashString "sha256";
  hosts = [
    "web1"
    "web2"
  ];
in
{
  dashboard =
    { lib, pkgs, ... }:
    {
      imports = [ self.nixosModules.dashboard ];
      services.switchyard.dashboard = {
        enable = true;
        openFirewall = true;
        agents = lib.genAttrs hosts (host: [ (hash "token of ${host}") ]);
        usersFile = "/etc/switchyard-users";
        settings = {
          listen = "0.0.0.0:8000";
          public_url = "http://dashboard:8000";
        };
      };
      # The password of ada is `correct horse battery staple`.
      environment.etc."switchyard-users" = {
        mode = "0400";
        text = ''
          ada admin $argon2id$v=19$m=19456,t=2,p=1$Ql1RiXclSurKTaaF00HUaA$gt1hemaYOTv2hImqKi99jYsSf18Vp4RzsTiKuqRfxhA
          ci operator sha256:${hash "operator"}
          screen viewer sha256:${hash "viewer"}
        '';
      };

      services.gitDaemon = {
        enable = true;
        basePath = "/srv/git";
        exportAll = true;
      };
      systemd.tmpfiles.rules = [ "d /srv/git 0755 git git" ];
      networking.firewall.allowedTCPPorts = [ 9418 ];
      environment.systemPackages = [ pkgs.gitMinimal ];
    };

  # The steps of `switch`; other settings come from the test.
  host =
    steps:
    { config, lib, ... }:
    {
      imports = [ self.nixosModules.agent ];
      # Machines of the tests cannot be switched by default.
      system.switch.enable = true;
      services.switchyard.agent = {
        enable = true;
        tokenFile = "/etc/switchyard-token";
        settings = {
          dashboard = "ws://dashboard:8000";
          # The network of the tests has no other member.
          allow_plaintext = true;
          heartbeat_interval = 1;
          repo.url = "git://dashboard/config.git";
          commands.switch.steps = steps;
        };
      };
      environment.etc."switchyard-token" = {
        mode = "0400";
        text = lib.mkDefault "token of ${config.networking.hostName}";
      };
    };

  # Activates the specialisation `next` as nixos-rebuild does, without building anything.
  activateNext = [
    [
      "systemd-run"
      "--collect"
      "--no-ask-password"
      "--pipe"
      "--quiet"
      "--service-type=exec"
      "--unit=nixos-rebuild-switch-to-configuration"
      "/run/booted-system/specialisation/next/bin/switch-to-configuration"
      "test"
    ]
  ];

  # Python that every test begins with.
  script = builtins.readFile ./api.py;
}
