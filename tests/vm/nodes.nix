# What the nodes of each test are made of, as values alone: default.nix makes NixOS systems of them, and `run` makes
# containers, which needs no nixpkgs.
#
# A node may have:
#   dashboard   { settings, agents, users }    the dashboard; users are the lines of its users file
#   agent       { settings, token }            an agent
#   git         folder                         a git server, of the repositories below that folder
#   systems     { NAME = { etc, mark, agent } }
#               other systems to which the node can be switched: with other files in /etc, with a variable MARK in
#               the agent's unit, or without an agent
# All of a node but `systems` is in each of these, too.
let
  hash = builtins.hashString "sha256";

  token = host: "token-of-${host}";

  # The password of ada is `correct horse battery staple`.
  ada = "ada admin $argon2id$v=19$m=19456,t=2,p=1$Ql1RiXclSurKTaaF00HUaA$gt1hemaYOTv2hImqKi99jYsSf18Vp4RzsTiKuqRfxhA";

  dashboard = {
    dashboard = {
      settings = {
        listen = "0.0.0.0:8000";
        public_url = "http://dashboard:8000";
      };
      agents = {
        web1 = [ (hash (token "web1")) ];
        web2 = [ (hash (token "web2")) ];
      };
      users = [
        ada
        "ci operator sha256:${hash "operator"}"
        "screen viewer sha256:${hash "viewer"}"
      ];
    };
    git = "/srv/git";
  };

  # A host whose `switch` has these steps.
  host = name: steps: {
    agent = {
      token = token name;
      settings = {
        dashboard = "ws://dashboard:8000";
        # The network of the tests has no other member.
        allow_plaintext = true;
        heartbeat_interval = 1;
        repo = {
          url = "git://dashboard/config.git";
          allow_plaintext = true;
        };
        commands.switch.steps = steps;
      };
    };
  };

  shell = script: [
    "/bin/sh"
    "-c"
    script
  ];

  activate = name: [
    "/run/booted-system/specialisation/${name}/bin/switch-to-configuration"
    "test"
  ];

  # As nixos-rebuild activates, without building anything.
  activateAsService =
    name:
    [
      "systemd-run"
      "--collect"
      "--no-ask-password"
      "--pipe"
      "--quiet"
      "--service-type=exec"
      "--unit=nixos-rebuild-switch-to-configuration"
    ]
    ++ activate name;
in
{
  deploy =
    let
      web =
        name:
        host name [ (activateAsService "next") ]
        // {
          systems.next.etc.is-next = "yes";
        };
    in
    {
      inherit dashboard;
      web1 = web "web1";
      web2 = web "web2";
    };

  outage =
    let
      untilThere = file: "until [ -e ${file} ]; do sleep 0.1; done";
    in
    {
      inherit dashboard;
      web1 = host "web1" [
        (shell ''
          seq 1 1000; ${untilThere "/tmp/go-1"}
          seq 1001 2000; ${untilThere "/tmp/go-2"}
          seq 2001 3000
        '')
      ];
    };

  security =
    let
      web2 = host "web2" [ [ "true" ] ];
    in
    {
      inherit dashboard;
      web1 = host "web1" [ [ "true" ] ];
      web2 = web2 // {
        agent = web2.agent // {
          token = "a-wrong-token";
        };
      };
    };

  survives-switch =
    let
      between = name: [
        (shell "seq 1 1000")
        (activate name)
        (shell "seq 1001 2000")
      ];
      web1 = host "web1" (between "changed");
    in
    {
      inherit dashboard;
      web1 = web1 // {
        agent = web1.agent // {
          settings = web1.agent.settings // {
            commands = web1.agent.settings.commands // {
              leave.steps = between "removed";
              look.steps = [
                (shell ''
                  for program in bash curl hostname ip nixos-rebuild nix git ssh systemctl; do
                    command -v "$program" >/dev/null && echo "has $program"
                  done
                  /usr/bin/env bash -c 'echo "bash by env"'
                '')
              ];
            };
          };
        };
        systems = {
          changed.mark = "2";
          removed.agent = false;
        };
      };
    };
}
