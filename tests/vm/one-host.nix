# A dashboard and an agent on one machine. The token is `secret`.
{ pkgs, ... }:
{
  networking.hostName = "h1";
  services.switchyard = {
    dashboard = {
      enable = true;
      agents.h1 = [ "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" ];
    };
    agent = {
      enable = true;
      tokenFile = "/etc/switchyard-token";
      settings = {
        dashboard = "ws://127.0.0.1:8000";
        commands.switch.steps = [
          [
            "${pkgs.runtimeShell}"
            "-c"
            "echo from the child; echo from its standard error >&2"
          ]
        ];
      };
    };
  };
  environment.etc."switchyard-token" = {
    text = "secret";
    mode = "0400";
  };
}
