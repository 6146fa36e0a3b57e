# Configurations, and what the modules say of each: part of every failed assertion and of every warning.
let
  hash = builtins.hashString "sha256" "token of web1";
  dashboard = settings: {
    services.switchyard.dashboard = {
      enable = true;
    }
    // settings;
  };
  agent = settings: {
    services.switchyard.agent = {
      enable = true;
      tokenFile = "/run/secrets/switchyard-token";
      settings = {
        dashboard = "wss://fleet.example.org";
        repo.url = "https://git.example.org/me/config.git";
      };
    }
    // settings;
  };
in
{
  one-machine.module = {
    imports = [
      (dashboard { agents.web1 = [ hash ]; })
      (agent {
        settings = {
          dashboard = "ws://127.0.0.1:8000";
          repo.dir = "/etc/nixos";
        };
      })
    ];
  };

  public-dashboard.module = dashboard {
    agents.web1 = [ hash ];
    usersFile = "/run/secrets/switchyard-users";
    openFirewall = true;
    settings = {
      listen = "[::]:8000";
      public_url = "https://fleet.example.org";
      retention.days = 90;
    };
  };

  secret-agents.module = dashboard { agentsFile = "/run/secrets/switchyard-agents"; };

  every-option-of-an-agent.module = agent {
    sshKeyFile = "/run/secrets/deploy-key";
    sshKnownHostsFile = builtins.toFile "known-hosts" "git.example.org ssh-ed25519 AAAA";
    settings = {
      dashboard = "wss://fleet.example.org:8443";
      ca_file = "/etc/ssl/private-ca.pem";
      heartbeat_interval = 30;
      host_id = "web-1";
      spool.max_bytes = 1073741824;
      repo = {
        url = "git@git.example.org:me/config.git";
        branch = "production";
        dir = "/root/config";
      };
      commands = {
        switch.timeout = 7200;
        test.checks = "{repo}/checks";
        collect-garbage.steps = [ [ "nix-collect-garbage" ] ];
      };
    };
  };

  enrolling-agent.module = agent {
    tokenFile = null;
    enrolmentFile = "/run/secrets/switchyard-enrolment";
  };

  without-nix = {
    module = {
      imports = [ (agent { }) ];
      nix.enable = false;
    };
    says = [ "nix.enable is off" ];
  };
  no-token = {
    module = agent { tokenFile = null; };
    says = [ "switchyard token" ];
  };
  token-and-enrolment = {
    module = agent { enrolmentFile = "/run/secrets/switchyard-enrolment"; };
    says = [ "set either tokenFile or enrolmentFile" ];
  };
  enrolment-secret-in-the-store = {
    module = agent {
      tokenFile = null;
      enrolmentFile = builtins.toFile "enrolment" "secret";
    };
    says = [ "agent.enrolmentFile is /nix/store" ];
  };
  secrets-in-the-store = {
    module = {
      imports = [
        (agent {
          tokenFile = builtins.toFile "token" "secret";
          sshKeyFile = ./modules.nix;
        })
        (dashboard {
          agents.web1 = [ hash ];
          usersFile = builtins.toFile "users" "secret";
        })
      ];
    };
    says = [
      "agent.tokenFile is /nix/store"
      "agent.sshKeyFile is /"
      "dashboard.usersFile is /nix/store"
    ];
  };
  plaintext = {
    module = agent {
      settings = {
        dashboard = "ws://fleet.example.org";
        repo.dir = "/etc/nixos";
      };
    };
    says = [ "unencrypted" ];
  };
  wanted-plaintext = {
    module = agent {
      settings = {
        dashboard = "ws://10.0.0.1:8000";
        allow_plaintext = true;
        repo.dir = "/etc/nixos";
      };
    };
    says = [ "are sent to ws://10.0.0.1:8000 unencrypted" ];
  };
  no-repository = {
    module = agent { settings.dashboard = "wss://fleet.example.org"; };
    says = [ "neither pull nor switch" ];
  };
  state-elsewhere = {
    module = {
      imports = [
        (agent {
          settings = {
            dashboard = "wss://fleet.example.org";
            repo.dir = "/etc/nixos";
            state_dir = "/srv/agent";
          };
        })
        (dashboard {
          agents.web1 = [ hash ];
          settings.data_dir = "/srv/dashboard";
        })
      ];
    };
    says = [
      "agent.settings.state_dir"
      "dashboard.settings.data_dir"
    ];
  };

  everybody-an-admin = {
    module = dashboard {
      agents.web1 = [ hash ];
      settings.listen = "0.0.0.0:8000";
    };
    says = [ "every visitor would be an admin" ];
  };
  nobody-signs-in = {
    module = dashboard {
      agents.web1 = [ hash ];
      usersFile = "/run/secrets/switchyard-users";
      settings.public_url = "http://fleet.example.org";
    };
    says = [ "begins with http:" ];
  };
  no-hosts = {
    module = dashboard { openFirewall = true; };
    says = [
      "agents is empty"
      "openFirewall is set, but the dashboard listens only on"
    ];
  };
  one-token-for-two = {
    module = dashboard {
      agents.web1 = [ hash ];
      agents."web 2" = [ hash ];
    };
    says = [
      "two entries have the same hash"
      "not a valid host name: web 2"
    ];
  };
  hosts-that-the-dashboard-would-not-start-with = {
    module = dashboard {
      agents."a..b" = [ hash ];
      agents.web1 = map (n: builtins.hashString "sha256" "token ${toString n} of web1") [
        1
        2
        3
      ];
      agents.web2 = map (n: builtins.hashString "sha256" "token ${toString n} of web2") [
        1
        2
      ];
    };
    says = [
      "not a valid host name: a..b"
      "too many hashes of web1: a host may have at most two"
    ];
  };
  agent-with-two-dots-in-its-name = {
    module = agent {
      settings = {
        dashboard = "wss://fleet.example.org";
        host_id = "a..b";
        repo.dir = "/etc/nixos";
      };
    };
    says = [ "not a valid host name" ];
  };
}
