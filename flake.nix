{
  description = "Deploy a fleet of NixOS hosts from a web page and watch every line of nixos-rebuild as it happens";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      forEachSystem =
        f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      package =
        {
          lib,
          rustPlatform,
          gitMinimal,
          util-linuxMinimal,
        }:
        rustPlatform.buildRustPackage {
          pname = "switchyard";
          inherit ((lib.importTOML ./Cargo.toml).package) version;
          src = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./Cargo.toml
              ./Cargo.lock
              ./.clippy.toml
              ./src
              ./web
              (lib.fileset.fileFilter (file: !file.hasExt "nix") ./tests)
            ];
          };
          cargoLock.lockFile = ./Cargo.lock;
          # The tests pull from git, and leave a session with setsid.
          nativeCheckInputs = [
            gitMinimal
            util-linuxMinimal
          ];
          preCheck = "export HOME=$TMPDIR";
          meta = {
            description = "Deploys a fleet of NixOS hosts from a web page";
            license = lib.licenses.mit;
            mainProgram = "switchyard";
            platforms = lib.platforms.linux;
          };
        };

      # The modules take the flake's own package. The key keeps a module that is imported twice from being declared twice.
      moduleWithPackage =
        name:
        { pkgs, lib, ... }:
        {
          key = "switchyard#nixosModules.${name}";
          imports = [ ./nixos-modules/${name}.nix ];
          services.switchyard.${name}.package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.switchyard;
        };
    in
    {
      overlays.default = final: _prev: { switchyard = final.callPackage package { }; };

      nixosModules = {
        agent = moduleWithPackage "agent";
        dashboard = moduleWithPackage "dashboard";
        default.imports = [
          self.nixosModules.agent
          self.nixosModules.dashboard
        ];
      };

      packages = forEachSystem (pkgs: rec {
        switchyard = pkgs.callPackage package { };
        default = switchyard;
      });

      # `nix run` is the demo; its arguments are those of `switchyard demo`.
      apps = forEachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (
            pkgs.writeShellScriptBin "switchyard-demo" ''
              exec ${lib.getExe self.packages.${pkgs.stdenv.hostPlatform.system}.switchyard} demo "$@"
            ''
          );
          meta.description = "A whole fleet on this machine, with no set-up";
        };
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.switchyard ];
          packages = [
            pkgs.chromium
            pkgs.clippy
            pkgs.gitMinimal
            pkgs.nixfmt
            pkgs.nodejs
            pkgs.rust-analyzer
            pkgs.rustfmt
          ];
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);

      checks = forEachSystem (
        pkgs:
        let
          inherit (pkgs.stdenv.hostPlatform) system;
          inherit (self.packages.${system}) switchyard;
        in
        {
          package = switchyard;

          clippy = switchyard.overrideAttrs (old: {
            pname = "switchyard-clippy";
            nativeBuildInputs = old.nativeBuildInputs ++ [ pkgs.clippy ];
            buildPhase = "cargo clippy --release --all-targets -- --deny warnings";
            doCheck = false;
            installPhase = "touch $out";
          });

          format =
            pkgs.runCommand "switchyard-format"
              {
                nativeBuildInputs = [
                  pkgs.cargo
                  pkgs.nixfmt
                  pkgs.rustfmt
                ];
              }
              ''
                (cd ${switchyard.src} && cargo fmt --check)
                nixfmt --check ${./flake.nix} ${./nixos-modules}/*.nix ${./tests/vm}/*.nix
                touch $out
              '';

          # Evaluates both modules in a whole system, and lets `check-config` read the settings they write.
          modules =
            let
              host = lib.nixosSystem {
                modules = [
                  self.nixosModules.default
                  self.nixosModules.agent
                  ./tests/vm/one-host.nix
                  {
                    nixpkgs.hostPlatform = system;
                    boot.isContainer = true;
                    system.stateVersion = "26.05";
                  }
                ];
              };
            in
            pkgs.linkFarm "switchyard-modules" (
              lib.genAttrs [ "switchyard-agent.service" "switchyard-dashboard.service" ] (
                unit: host.config.systemd.units.${unit}.unit
              )
            );

          vm-first-run = pkgs.testers.runNixOSTest (import ./tests/vm/first-run.nix { inherit self; });
        }
      );
    };
}
