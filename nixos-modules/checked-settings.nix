# The settings of a service as a TOML file that `switchyard check-config` has read without complaint.
{ lib, pkgs }:
{
  service,
  package,
  settings,
}:
let
  # TOML has no null: an option left at null is absent.
  file = (pkgs.formats.toml { }).generate "switchyard-${service}-unchecked.toml" (
    lib.filterAttrsRecursive (_name: value: value != null) settings
  );
in
if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
  pkgs.runCommand "switchyard-${service}.toml" { } ''
    ${lib.getExe package} check-config ${service} ${file}
    cp ${file} $out
  ''
else
  file
