# Both services. Without the flake, `pkgs.switchyard` has to come from its overlay.
{
  imports = [
    ./agent.nix
    ./dashboard.nix
  ];
}
