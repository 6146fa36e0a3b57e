{
  description = "Deploy a fleet of NixOS hosts from a web page and watch every line of nixos-rebuild as it happens";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      forEachSystem =
        f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      # What the program is made of, and nothing else: a change of a document or of a test is no new program.
      programSource = lib.fileset.toSource {
        root = ./.;
        fileset = lib.fileset.unions [
          ./Cargo.toml
          ./Cargo.lock
          ./src
          ./web/build.rs
          (lib.fileset.fileFilter (
            file:
            lib.any file.hasExt [
              "html"
              "css"
              "js"
              "svg"
              "png"
              "ico"
              "webmanifest"
              "woff2"
            ]
          ) ./web)
        ];
      };

      # What the sources and the tests read. The other tests in Nix are no part of it.
      testedSource = lib.fileset.toSource {
        root = ./.;
        fileset = lib.fileset.unions [
          ./Cargo.toml
          ./Cargo.lock
          ./.clippy.toml
          ./README.md
          ./nixos-modules
          ./src
          ./web
          (lib.fileset.difference ./tests (
            lib.fileset.unions [
              ./tests/vm
              ./tests/modules.nix
            ]
          ))
        ];
      };

      package =
        {
          lib,
          rustPlatform,
          # What agents tell as the revision of their program. That of its sources stays as it is where they do.
          revision ? lib.substring 0 7 (baseNameOf programSource),
        }:
        rustPlatform.buildRustPackage {
          pname = "switchyard";
          inherit ((lib.importTOML ./Cargo.toml).package) version;
          src = programSource;
          cargoLock.lockFile = ./Cargo.lock;
          cargoBuildFlags = [
            "--bin"
            "switchyard"
          ];
          env.SWITCHYARD_REVISION = revision;
          # The tests are a check of the flake: who installs the program does not run them.
          doCheck = false;
          # What is installed is stripped, and its line numbers are in an output of their own.
          separateDebugInfo = true;
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

      # The units of a configuration of tests/modules.nix, if the modules are to say nothing of it; it is an error when
      # they say something else than they are to.
      unitsOf =
        pkgs: name:
        {
          module,
          says ? [ ],
        }:
        let
          inherit
            (lib.nixosSystem {
              modules = [
                # Twice, as somebody may import them who takes both.
                self.nixosModules.default
                self.nixosModules.agent
                {
                  nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
                  boot.isContainer = true;
                  networking.hostName = "web1";
                  system.stateVersion = "26.05";
                }
                module
              ];
            })
            config
            ;
          failed = lib.filter (assertion: !assertion.assertion) config.assertions;
          said = lib.filter (lib.hasInfix "services.switchyard.") (
            map (assertion: assertion.message) failed ++ config.warnings
          );
          asExpected =
            lib.length said == lib.length says && lib.all (part: lib.any (lib.hasInfix part) said) says;
          units = lib.filterAttrs (unit: _: lib.hasPrefix "switchyard-" unit) config.systemd.units;
        in
        if !asExpected then
          throw "${name}: the modules say ${lib.generators.toPretty { } said}"
        else
          lib.optionalAttrs (says == [ ]) (
            lib.mapAttrs' (unit: value: lib.nameValuePair "${name}/${unit}" value.unit) units
          );
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
        # The reference of the options, of which nixos-modules/options.md is a copy.
        options-doc = pkgs.writeText "switchyard-options.md" (
          import ./nixos-modules/reference.nix { inherit lib pkgs; }
        );
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
            pkgs.cargo-deny
            pkgs.chromium
            pkgs.clippy
            pkgs.gitMinimal
            pkgs.iproute2
            pkgs.libfaketime
            pkgs.nixfmt
            pkgs.nodejs
            pkgs.python3
            pkgs.rust-analyzer
            pkgs.rustfmt
            pkgs.util-linux
          ];
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);

      checks = forEachSystem (
        pkgs:
        let
          inherit (pkgs.stdenv.hostPlatform) system;
          inherit (self.packages.${system}) switchyard;
          # A step of cargo with the package's own dependencies and compiler.
          cargoCheck =
            name: src: tools: step:
            switchyard.overrideAttrs (old: {
              pname = "switchyard-${name}";
              inherit src;
              nativeBuildInputs = old.nativeBuildInputs ++ tools;
              buildPhase = step;
              installPhase = "touch $out";
              separateDebugInfo = false;
            });
          nixFiles = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.fileFilter (file: file.hasExt "nix") ./.;
          };
        in
        {
          package = switchyard;

          # The tests pull from git, and leave a session with setsid.
          tests = cargoCheck "tests" testedSource [
            pkgs.gitMinimal
            pkgs.util-linuxMinimal
          ] "HOME=$TMPDIR cargo test --release --offline";

          clippy = cargoCheck "clippy" testedSource [
            pkgs.clippy
          ] "cargo clippy --release --offline --all-targets -- --deny warnings";

          # What the program is made of: licences, duplicates and sources. Known holes need a network.
          supply = cargoCheck "supply" (lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./Cargo.toml
              ./Cargo.lock
              ./deny.toml
              ./src
              ./tests
              ./web/build.rs
            ];
          }) [ pkgs.cargo-deny ] "cargo deny --offline check -D warnings licenses bans sources";

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
                (cd ${testedSource} && cargo fmt --check)
                find ${nixFiles} -name '*.nix' -exec nixfmt --check {} +
                touch $out
              '';

          # That the reference in the repository is the one of these modules.
          options = pkgs.runCommand "switchyard-options" { } ''
            diff ${./nixos-modules/options.md} ${self.packages.${system}.options-doc}
            touch $out
          '';

          # Each configuration of tests/modules.nix in a whole system: what the modules say of it, and of those of which
          # they say nothing the units, whose settings `check-config` has read.
          modules = pkgs.linkFarm "switchyard-modules" (
            lib.concatMapAttrs (unitsOf pkgs) (import ./tests/modules.nix)
          );
        }
        // lib.mapAttrs' (name: test: lib.nameValuePair "vm-${name}" (pkgs.testers.runNixOSTest test)) (
          import ./tests/vm { inherit self; }
        )
      );
    };
}
