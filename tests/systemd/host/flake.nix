# The system of a test host: one derivation that prints numbered lines, in two parts with a gate between them.
{
  outputs =
    { self }:
    {
      nixosConfigurations.h1.config.system.build.toplevel = derivation {
        name = "toy-system";
        system = builtins.currentSystem or "x86_64-linux";
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        salt = builtins.readFile ./salt;
        args = [
          "-c"
          ''
            part() {
              for i in $(seq 1 200); do
                echo "$1 $i"
                echo "$1 $i" >> /var/toy/built
              done
            }
            part before
            touch /var/toy/is-building
            while [ -e /var/toy/hold-build ]; do sleep 0.05; done
            part after
            mkdir -p $out/bin
            ln -s /opt/sw $out/sw
            cp ${./switch-to-configuration} $out/bin/switch-to-configuration
            chmod 755 $out/bin/switch-to-configuration
          ''
        ];
      };
    };
}
