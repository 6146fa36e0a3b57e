# Two systems that cannot be had: the evaluation of one, and the build of the other, take all memory there is.
{
  outputs =
    { self }:
    let
      made =
        name: more:
        derivation (
          {
            inherit name;
            system = "x86_64-linux";
            builder = "/bin/sh";
            PATH = "/usr/bin:/bin";
          }
          // more
        );
      chunk = builtins.foldl' (text: _: text + text) "x" (builtins.genList (n: n) 16);
      # A list without an end, of which each entry is another 64 KiB.
      endless = builtins.genericClosure {
        startSet = [ { key = 0; } ];
        operator =
          { key, ... }:
          let
            held = chunk + toString key;
          in
          builtins.seq held [
            {
              key = key + 1;
              inherit held;
            }
          ];
      };
    in
    {
      evaluation = made "evaluation" { list = toString (builtins.length endless); };
      derivation = made "derivation" {
        args = [
          "-c"
          "perl -e 'my @held; push @held, q(x) x 1048576 while 1'"
        ];
      };
    };
}
