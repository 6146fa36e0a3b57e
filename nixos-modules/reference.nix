# The reference of the options as Markdown, made from the modules: `nix build .#options-doc`.
{ lib, pkgs }:
let
  inherit
    (lib.evalModules {
      modules = [
        ./default.nix
        {
          # All other options of NixOS are missing.
          _module.check = false;
          _module.args = { inherit pkgs; };
        }
      ];
    })
    options
    ;

  # `{option}` and the like say what a name is, which only the manual of NixOS shows.
  plain = lib.replaceStrings [ "{option}" "{file}" ] [ "" "" ];
  code =
    text:
    if lib.hasInfix "\n" text then
      "\n\n  ```nix\n  ${lib.replaceStrings [ "\n" ] [ "\n  " ] text}\n  ```"
    else
      " `${text}`";
  nix = value: code (lib.removeSuffix "\n" (value.text or (lib.generators.toPretty { } value)));

  entry = option: ''
    ## `${option.name}`

    ${plain (lib.removeSuffix "\n" (option.description.text or option.description))}

    - Type: ${option.type}
    ${lib.optionalString (option ? default) "- Default:${nix option.default}\n"}${
      lib.optionalString (option ? example) "- Example:${nix option.example}\n"
    }'';

  shown = lib.filter (
    option: option.visible && !option.internal && lib.hasPrefix "services.switchyard." option.name
  ) (lib.optionAttrSetToDocList options);
in
''
  # Options

  Made from the modules by `nix build .#options-doc`; `nix flake check` says when it is out of date.

  ${lib.concatMapStringsSep "\n" entry shown}''
