# The options of the agent.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.switchyard.agent;
  credentials = "/run/credentials/switchyard-agent.service";
  secrets = import ./secrets.nix { inherit lib; };
  toml = (pkgs.formats.toml { }).type;
  # A folder of the host, in quotes: a path without them would be copied into the store.
  folder = types.strMatching "/.+";
in
{
  options.services.switchyard.agent = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether to enable the Switchyard agent, through which the dashboard deploys this host.

        The agent is root, because it activates systems. It runs what this configuration says: the dashboard can only
        name a command. Whoever may write to the repository from which it pulls decides what this host becomes.
      '';
    };

    package = lib.mkPackageOption pkgs "switchyard" { };

    tokenFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-token";
      description = ''
        The file with this host's token, which `switchyard token HOST` prints behind the host's name.
        systemd reads it when the agent starts; it need not be readable by anyone but root.
        A host needs this or {option}`services.switchyard.agent.enrolmentFile`.
      '';
    };

    enrolmentFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-enrolment";
      description = ''
        A file with a secret that `switchyard admin new-enrolment` prints behind the hosts for which it is good, in place
        of {option}`services.switchyard.agent.tokenFile`. The agent exchanges it for a token of its own, once, and
        keeps that in {file}`token` in {option}`services.switchyard.agent.settings.state_dir`.
        From then on the file is needed no more, and may be gone.
        To enrol anew, remove that token and give another secret.
      '';
    };

    sshKeyFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/deploy-key";
      description = ''
        The private key with which git fetches the repository over ssh.
        Each run gets it as a credential of its own; the agent itself never reads it.
        Null leaves git to what root has in {file}`/root/.ssh`.
      '';
    };

    sshKnownHostsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression ''pkgs.writeText "known-hosts" "git.example.org ssh-ed25519 AAAA…"'';
      description = ''
        The keys of the servers from which git may fetch over ssh, as lines of a {file}`known_hosts` file.
        They are no secret, so the file may be in the store. Those of {option}`programs.ssh.knownHosts` count, too.
        A server with another key, or with none, is refused.
      '';
    };

    settings = mkOption {
      description = ''
        The agent's configuration file, which is checked when the system is built.
        What is no option here is written to the file as it is.
      '';
      default = { };
      example = lib.literalExpression ''
        {
          dashboard = "wss://fleet.example.org";
          repo.url = "git@git.example.org:me/config.git";
          commands.switch.timeout = 7200;
        }
      '';
      type = types.submodule {
        freeformType = toml;
        options = {
          dashboard = mkOption {
            type = types.strMatching "wss?://.+";
            example = "wss://fleet.example.org";
            description = ''
              Where the dashboard is. The agent connects to it, and nothing connects to the agent.
              `ws://`, without encryption, is for a dashboard on this very machine.
            '';
          };

          allow_plaintext = mkOption {
            type = types.bool;
            default = false;
            description = ''
              Whether `ws://` may lead to another machine: only where the network itself is encrypted, as in a VPN.
            '';
          };

          ca_file = mkOption {
            type = types.nullOr types.path;
            default = null;
            example = "/etc/ssl/private-ca.pem";
            description = ''
              Certificates of a private CA that may vouch for the dashboard, beside those of the system; with
              `system_roots = false` in their place.
              Home folders are hidden from the agent.
            '';
          };

          host_id = mkOption {
            type = types.str;
            default = config.networking.hostName;
            defaultText = lib.literalExpression "config.networking.hostName";
            example = "web1";
            description = ''
              The name of this host on the dashboard, and of its system in `nixosConfigurations` of the repository.
            '';
          };

          heartbeat_interval = mkOption {
            type = types.ints.between 1 300;
            default = 5;
            example = 30;
            description = "How often the host tells how it is, in seconds.";
          };

          state_dir = mkOption {
            type = folder;
            default = "/var/lib/switchyard-agent";
            description = ''
              Where the agent keeps the output of its runs until the dashboard has it, and its clone of the repository.
              It must be below {file}`/var/lib`; for another disk, mount that there.
            '';
          };

          repo = mkOption {
            default = { };
            description = "The repository with this host's configuration, which is a flake.";
            example = {
              url = "git@git.example.org:me/config.git";
              branch = "production";
            };
            type = types.submodule {
              freeformType = toml;
              options = {
                url = mkOption {
                  type = types.nullOr types.str;
                  default = null;
                  example = "https://git.example.org/me/config.git";
                  description = ''
                    Where `pull` fetches from: `https://`, ssh, or a path. Without it there is no `pull`.
                    A password in it never shows in a list of processes, but whoever reads the store of this host can
                    read it; prefer {option}`services.switchyard.agent.sshKeyFile`.
                  '';
                };
                allow_plaintext = mkOption {
                  type = types.bool;
                  default = false;
                  description = ''
                    Whether {option}`url` may begin with `http://`, `git://` or `ftp://` and lead to another machine.
                    Everybody on the way could then change the configuration that this host will run: only where the
                    network itself is encrypted, as in a VPN.
                  '';
                };
                branch = mkOption {
                  type = types.str;
                  default = "main";
                  example = "production";
                  description = "The branch to which `pull` resets the clone.";
                };
                dir = mkOption {
                  type = types.nullOr folder;
                  default = null;
                  example = "/etc/nixos";
                  description = ''
                    Where the clone is: by default `repo` in {option}`services.switchyard.agent.settings.state_dir`.
                    It must belong to root: git and nix refuse the repository of another user.
                    `pull` makes of it what the server has: what is in it and not there is lost. A clone that is
                    damaged is mended, and at last replaced by a fresh one; one that the agent did not make is kept
                    beside it, as `.NAME.switchyard-old-1`. A folder that is no clone is left alone.
                  '';
                };
              };
            };
          };

          commands = mkOption {
            default = { };
            description = ''
              Commands that the dashboard may name. `pull`, `switch`, `test`, `boot`, `build`, `update` and `rollback`
              are there without being named here; what is set here replaces that part of them, or adds a command.
            '';
            example = {
              switch.timeout = 7200;
              collect-garbage.steps = [
                [
                  "nix-collect-garbage"
                  "--delete-older-than"
                  "30d"
                ]
              ];
            };
            type = types.attrsOf (
              types.submodule {
                freeformType = toml;
                options = {
                  steps = mkOption {
                    type = types.nullOr (types.nonEmptyListOf (types.nonEmptyListOf types.str));
                    default = null;
                    example = [
                      [
                        "nixos-rebuild"
                        "switch"
                        "--flake"
                        "{repo}#{host}"
                      ]
                    ];
                    description = ''
                      The programs to run one after the other, each a list of program and arguments and never a line of
                      shell. `{repo}` and `{host}` are replaced. The first that fails ends the run.
                    '';
                  };
                  checks = mkOption {
                    type = types.nullOr types.str;
                    default = null;
                    example = "{repo}/hosts/{host}/tests";
                    description = ''
                      A folder of which every executable `T*.sh` is run after the steps, in order.
                      One that fails makes the run fail.
                    '';
                  };
                  timeout = mkOption {
                    type = types.nullOr types.ints.positive;
                    default = null;
                    example = 7200;
                    description = ''
                      After how many seconds the run is ended. An activation that has begun is never ended by it.
                    '';
                  };
                };
              }
            );
          };

          token_file = mkOption {
            type = types.nullOr types.str;
            default = if cfg.tokenFile == null then null else "${credentials}/token";
            internal = true;
            description = "Set {option}`services.switchyard.agent.tokenFile`.";
          };

          enrolment_file = mkOption {
            type = types.nullOr types.str;
            default = if cfg.enrolmentFile == null then null else "${credentials}/enrolment";
            internal = true;
            description = "Set {option}`services.switchyard.agent.enrolmentFile`.";
          };
        };
      };
    };
  };
}
