# Secrets are files of the host, which systemd reads as root. The configuration names them, and never holds them.
{ lib }:
{
  # The store is refused by the assertion below, which can say what to do.
  file = lib.types.nullOr lib.types.path;

  outsideStore =
    option: file:
    let
      # Written into a string, a path without quotes would be copied into the store.
      path = toString file;
      isExposed = builtins.isPath file || lib.hasPrefix builtins.storeDir path;
    in
    {
      assertion = file == null || !isExposed;
      message = ''
        ${option} is ${path}, which is in the Nix store or would be copied there, where every user can read it.
        Give the path of a file on the host, in quotes, such as one that agenix or sops-nix puts there.
      '';
    };
}
