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
        The file with this host's token, which `switchyard token HOST` prints after the host's name.
        systemd reads it as root when the agent starts; nobody else needs to be able to read it.
        A host needs this or {option}`services.switchyard.agent.enrolmentFile`.
      '';
    };

    enrolmentFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/switchyard-enrolment";
      description = ''
        A file with an enrolment secret, in place of {option}`services.switchyard.agent.tokenFile`.
        `switchyard admin new-enrolment HOSTS` prints the secret after the hosts that may use it.
        The agent exchanges it once for a token of its own, which it keeps as {file}`token` in
        {option}`services.switchyard.agent.settings.state_dir`. After that the file is not needed and may be deleted.
        To enrol again, delete that token, run `switchyard admin revoke HOST` on the dashboard's machine, and provide a new
        secret.
      '';
    };

    sshKeyFile = mkOption {
      type = secrets.file;
      default = null;
      example = "/run/secrets/deploy-key";
      description = ''
        The private key with which git fetches the repository over ssh.
        Each run gets it as a credential of its own; the agent itself never reads it.
        If null, git uses the keys in {file}`/root/.ssh`.
      '';
    };

    sshKnownHostsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression ''pkgs.writeText "known-hosts" "git.example.org ssh-ed25519 AAAA…"'';
      description = ''
        The keys of the servers from which git may fetch over ssh, as lines of a {file}`known_hosts` file.
        They are not secret, so the file may be in the store. The keys in {option}`programs.ssh.knownHosts` are
        accepted, too. A server whose key is in neither is refused.
      '';
    };

    settings = mkOption {
      description = ''
        The agent's configuration file, which is checked when the system is built.
        Keys without an option of their own are written to the file unchanged. Those of the agent, with their defaults:
        `system_roots` (true), `supervisor` (`"auto"`), `spool.max_run_bytes` (1 GiB), `spool.max_bytes` (4 GiB),
        `masking.defaults` (true) and `masking.patterns` (none).
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
              Whether `dashboard` may be a `ws://` address on another machine. The token and all output are then sent
              unencrypted: set it only where the network itself is encrypted, such as in a VPN.
            '';
          };

          ca_file = mkOption {
            type = types.nullOr types.path;
            default = null;
            example = "/etc/ssl/private-ca.pem";
            description = ''
              A PEM file with the certificates of a private CA. The agent accepts a certificate of the dashboard from
              this CA or from the system's; with `system_roots = false` from this CA only.
              The file must not be in a home folder: the agent cannot see those.
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
            description = "Seconds from one status message of the host to the next.";
          };

          state_dir = mkOption {
            type = folder;
            default = "/var/lib/switchyard-agent";
            description = ''
              The folder for the output of runs that the dashboard does not have yet, and for the clone of the
              repository. It must be below {file}`/var/lib`; to use another disk, mount it there.
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
                    A password in it never shows in a list of processes, but every user of this host can read it in the
                    Nix store; prefer {option}`services.switchyard.agent.sshKeyFile`.
                  '';
                };
                allow_plaintext = mkOption {
                  type = types.bool;
                  default = false;
                  description = ''
                    Whether {option}`url` may be an `http://`, `git://` or `ftp://` address on another machine. Anyone
                    on the network path could then change the configuration that this host will run: set it only where
                    the network itself is encrypted, such as in a VPN.
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
                    `pull` makes it equal to the branch on the server: changes, commits and files that are only here are
                    deleted, except files that git ignores. A damaged clone is mended or, if that fails, replaced by a
                    fresh one; a clone outside of `state_dir` that the agent did not make is then kept beside it as
                    `.NAME.switchyard-old-1`. If a folder outside of `state_dir` has files and is not a clone, `pull`
                    fails and leaves it unchanged.
                  '';
                };
              };
            };
          };

          commands = mkOption {
            default = { };
            description = ''
              Commands that the dashboard may start. `pull`, `switch`, `test`, `boot`, `build`, `update` and `rollback`
              are built in: a key that is set here replaces that key of the built-in command. Another name adds a
              command.
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
                      The programs to run one after the other, each a list of the program and its arguments; there is no
                      shell. `{repo}` stands for the folder of the clone, `{host}` for `host_id`. The run ends at the
                      first that fails.
                    '';
                  };
                  checks = mkOption {
                    type = types.nullOr types.str;
                    default = null;
                    example = "{repo}/hosts/{host}/tests";
                    description = ''
                      A folder. After the steps, every executable `T*.sh` in it is run, in the order of their names.
                      If one fails, the run fails.
                    '';
                  };
                  timeout = mkOption {
                    type = types.nullOr types.ints.positive;
                    default = null;
                    example = 7200;
                    description = ''
                      Seconds after which the run is ended, but not during an activation. Null: no limit.
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
