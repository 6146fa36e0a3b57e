//! Secrets as tools print them, none of which may stay; and lines without any, which stay as they are.

use super::{Masker, Masking, State};
use std::sync::LazyLock;

static MASKER: LazyLock<Masker> = LazyLock::new(|| Masker::new(&Masking::default()).unwrap());

fn masked(line: &str) -> String {
    MASKER.line(&mut State::default(), line).into_owned()
}

/// Lines with a secret in the place of `{N}`: N letters and digits made by chance. `{xN}` is hexadecimal, `{uN}` in
/// upper case, `{bN}` base64.
const SECRETS: &str = r#"
remote: using ghp_{36}
fatal: unable to access 'https://x-access-token:ghs_{36}@github.com/o/r/': 403
fatal: Authentication failed for 'https://{40}@git.example.org/o/r.git/'
fetching git+https://{x40}@git.example.org/o/r.git?ref=main
cloning https://{40}:x-oauth-basic@github.com/o/r
fetching with gldt-{20}
PRIVATE-TOKEN: glpat-{20}
runner registered with glrt-{20}
AWS_SECRET_ACCESS_KEY={40}
{"AccessKeyId": "AKIAXXXXXXXXXXXXXXXX", "SecretAccessKey": "{40}"}
using AKIA{u16} for the upload
got eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{43}
AGE-SECRET-KEY-1{u58}
# secret key: AGE-SECRET-KEY-1{u58}
warning: unable to download 'https://bob:{20}@cache.example.org/nix-cache-info': HTTP error 401
  password {20}
machine git.example.org login bob password {20}
nix build --option access-tokens github.com={40}
access-tokens = github.com={40} gitlab.com=PAT:{20}
attic login prod https://cache.example.org eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjB9.{43}
{"token": "{43}"}
{\"token\":\"{43}\"}
password: {20}
"password": "{20}"
'client_secret': '{32}',
trace: { dbPassword = "{20}"; user = "a"; }
+ curl -u admin:{20} https://example.org
curl -sSu admin:{20} https://example.org
curl --user "admin:{20}" https://example.org
> X-Vault-Token: {43}
> x-api-key: {32}
> Cookie: session={24}
< Set-Cookie: sid={24}; Path=/; HttpOnly
curl -H 'Cookie: a=1; session={24}' https://example.org
> Authorization: token {40}
> Authorization: {40}
> Proxy-Authorization: Basic {b24}
curl -H "Authorization: Bearer {40}" https://example.org
{"Authorization": "Bearer {40}"}
vault login hvs.{90}
Initial Root Token: hvs.{24}
Unseal Key 1: {b44}
posting with xoxb-123456789012-123456789012-{24}
posting to https://hooks.slack.com/services/T0000/B0000/{24}
POST https://discord.com/api/webhooks/123456789012345678/{68}
stripe: sk_live_{24}
tailscale up --auth-key tskey-auth-{49}
tailscale up --authkey={49}
cachix authtoken eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{43}
cachix authtoken {43}
PrivateKey = {b44}
PresharedKey = {b44}
preshared key: {b44}
RESTIC_PASSWORD={30}
BORG_PASSPHRASE='{30}'
DATABASE_URL=postgres://app:{20}@db/app
redis://:{20}@cache:6379/0
https://api.telegram.org/bot1234567890:AA{33}/getMe
TELEGRAM=1234567890:AA{33}
DB_PASS={24}
MYSQL_PWD={24}
dbPass: {24}
CREDENTIAL={24}
API_KEY: {24}
SECRET_KEY_BASE={x128}
DJANGO_SECRET_KEY="{50}"
cache.example.org-1:{b86}==
//registry.npmjs.org/:_authToken=npm_{36}
"auth": "{b40}"
export GITHUB_TOKEN={40}
declare -x GITHUB_TOKEN="{40}"
GET /callback?access_token={40}&page=2
GET https://acct.blob.core.windows.net/c/b?sv=2020&sig={44}
GET https://b.s3.amazonaws.com/k?X-Amz-Signature={x64}
AccountKey={b86}==
Server=db;User Id=sa;Password={20};Encrypt=yes
<password>{20}</password>
sshpass -p {16} ssh root@web1
mysql -u root -p{16} app
redis-cli -h cache -a {16} ping
docker login -u bob -p {20} registry.example.org
openssl rsa -passin pass:{16} -in key.pem
app --password {16} --verbose
app --api-key {24}
app --client-secret={24}
your new password is {16}x1
the generated password: {12}x1
:password => "{20}"
token := "{32}"
sops: decrypted {"smtp_password":"{20}","port":25}
key: sk-ant-api03-{80}
OPENAI: sk-proj-{48}
google: AIza{35}
SENDGRID SG.{22}.AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE
npm notice using npm_{36}
hf_{34}
pypi-AgEIcHlwaS5vcmc{60}
wpa_passphrase={20}
psk="{20}"
{"passwords": ["{20}", "abc"]}
passwords = [ "abc" "{20}" ];
tokens: ["{40}"]
olcRootPW: {20}
bindpw {20}
ldap_default_authtok = {20}
ldapsearch -x -D cn=admin -w {20} -b dc=example
openai: sk-svcacct-{60}
openai: sk-admin-{60}
matrix: syt_YWRh_{20}_1a2b3c
new relic: NRAK-{u27}
mailgun: key-{x32}
api:key-{x32}
requirepass {12}
masterauth {12}
requirepass "{12}"
+ redis-server --requirepass {12}
redis-server --requirepass {12}x1 --port 6380
export BW_SESSION={40}==
BW_SESSION="{b86}=="
secret_id={x8}-0a1b-2c3d-4e5f-0123456789ab
vault write auth/approle/login role_id=web secret_id={20}
"secret_id": "{x8}-0a1b-2c3d-4e5f-0123456789ab"
CREATE USER 'app'@'%' IDENTIFIED BY '{12}';
create user app identified with mysql_native_password by '{12}'
mysql> ALTER USER app IDENTIFIED BY \"{12}\";
> AUTH PLAIN {b24}
root:$6$saltsaltsaltsalt${86}:19700:0:99999:7:::
ada:$y$j9T$abcdefghijklmnopqrstuv${43}:19700:0:99999:7:::
hash is $2b$12${53}
$6$saltsaltsaltsalt${86}
HASH=$gy$j9T$abcdefghijklmnopqrstuv${43}
+ echo root:{12}
+ sh -c 'echo root:{12} | chpasswd'
echo "ada:{12}" | sudo chpasswd -e
chpasswd <<< ada:{12}
+ htpasswd -b /var/lib/web/htpasswd ada {12}
+ htpasswd -cbB /var/lib/web/htpasswd ada {12}
htpasswd -nb ada {12} > file
+ smbclient -U ada%{12} //server/share -c ls
smbclient //server/share --user=ada%{12}
+ ssh-keygen -t ed25519 -f key -N {12}
ssh-keygen -p -P '{12}' -N '' -f key
ssh-keygen -N "{12}" -f key
+ 7z a -p{12} backup.7z folder
7z x backup.7z -p{12} -oout
{"name":"DB_PASSWORD","value":"{12}"}
{"name": "api_token", "value": "{12}"},
{\"name\":\"DB_PASSWORD\",\"value\":\"{12}\"}
- name: DB_PASSWORD   value: {12}
env = [ { name = "DB_PASSWORD"; value = "{12}"; } ];
{"key": "SMTP_PASSWORD", "value": "{12}"}
127.0.0.1:6379> CONFIG SET requirepass {12}
redis://:ab/{12}@cache
redis://:{6}/{12}@cache:6379/0
postgres://app:ab/{12}@db/app
ADMIN_PW={12}
export ADMIN_PW='{12}'
ADMIN_PW := {12}
declare -x DB_PW="{12}"
Environment="DB_PW={12}" "X=y"
SetCredential=pw:{12}
DB_PW: {12}
{"db_pw":"{12}"}
{user: ada, pw: {12}, port: 25}
adminPw = "{12}";
dbPw: {12}
dbpw={12}
DBPW={12}
pw={12}
pw = {12}1x
<pw>{12}</pw>
app --pw {12}1x
GET /x?user=ada&pw={12}&y=1
GET /x?next=%2Fa%3Fuser%3Da%26pw%3D{12}%26b%3D1
body: %7B%22password%22%3A%22{12}%22%7D
curl --data 'user=ada&pw={12}' https://example.org
curl -H 'X-Auth-PW: {12}' https://example.org
curl -H "X-Password: {12}" https://example.org
set -gx ADMIN_PW {12}1x
setenv ADMIN_TOKEN {12}1x
ENV DB_PASSWORD {12}1x
plink -pw {12} root@web1
"pass" : "{12}"
"pass" : "{12}", "user" : "ada"
'pass' : '{12}'
"pass" => "{12}"
{\"pass\" : \"{12}\"}
pass: {12}
pass : "{12}"
pass = "{12}"
"password" : "{12}"
the password for ada is {12}
the password for ada is: {12}
The password for user "ada" is "{12}"
Your password for https://grafana.example.org is: {12}
password for ada: {12}
Password for 'https://git.example.org' : {12}
password for the user ada: {12}
initial password of ada: {12}
generated password (ada): {12}
password [ada]: {12}
password (for ada): {12}
password for ada = {12}
password is: {12}
password was set to {12}
the root password has been set to: {12}
the password for ada is now '{12}'
password of ada changed to {12}
the token for web1 is {20}1x
the API key for ada is {20}1x
machine git.example.org login ada password {12}
machine git.example.org password {12} login ada
default login ada password {12}
machine git.example.org login ada account a password "{12}"
+ echo 'machine git.example.org login ada password {12}' > .netrc
redis-server --requirepass {12} --port 6380
redis-server --requirepass="{12}" --masterauth x
ExecStart=/nix/store/x/bin/redis-server --port 0 --masterauth {12} --save ''
redis-config> requirepass {12}
"requirepass {12}",
requirepass: {12}
user default on >{12} ~* +@all
ACL SETUSER ada on >{12}
sentinel auth-pass main {12}
openssl enc -aes-256-cbc -in a -out b -k {12}
openssl enc -d -aes-256-cbc -k '{12}' -in a
openssl aes-256-cbc -a -k {12}
openssl enc -aes-128-cbc -K {x32} -iv 00112233445566778899aabbccddeeff
openssl enc -aes256 -pass pass:{12} -in a
openssl enc -aes256 -pass "pass:{12}" -in a
openssl rsa -in a -passin pass:{12} -out b
openssl rsa -in a -passout pass:{12}
openssl pkcs12 -export -password pass:{12}
openssl dgst -sha256 -hmac {12} file
openssl passwd -6 -salt abc {12}
mkpasswd -m sha-512 {12}
keytool -list -storepass {12}1x
https://{x32}@sentry.example.org/4
cloning git+https://{40}@git.example.org/o/r
https://ghp_{36}@git.example.org/o/r
https://bob%3A{12}@git.example.org/o/r
?proxy=http%3A%2F%2Fbob%3A{12}%40proxy.example.org%3A3128
> PASS {12}
ipmitool -H bmc1 -U admin -P {12} power on
mosquitto_pub -u ada -P {12} -t state
zip -r -P {12} a.zip folder
unzip -P {12} a.zip
mongosh -u ada -p {12} app
rabbitmqctl add_user ada {12}
lftp -u ada,{12} ftp://host1
+ echo {12} | sudo -S true
echo '{12}' | docker login -u ada --password-stdin
printf "{12}" | sudo passwd --stdin ada
wpa_passphrase home {12}
password = {12}
password for ada : {12}
password：{12}
DB_PASSWORD＝{12}
Your initial password is {12}1x, please change it
Your initial password is Xk3!{12}, please change it
the password for ada is {12}1x (change it)
the password for ada is {12}1x; change it
the password for ada is {12}1x - change it
The password for ada is {12}1x. Please change it.
password for ada: {12}1x (change it)
Server=db;Uid=ada;Pwd=/{12};
Server=db;Uid=ada;PWD=/{12};Encrypt=yes
Server=db; Uid=ada; PWD=/{12}
PWD=/{12};Server=db;Uid=ada
Server=db;Uid=ada;pwd=~{12};
Server=db;Uid=ada;Pwd=.{12};
Pwd=.{12}
GET /x?user=ada&pwd=/{12}
login ada password {12}
  login ada password {12}
  login ada account b password {12}
  password {12}1x
machine a login b password x1y2 machine d login e password {12}
machine a password {12}1x
machine a login b password x1y2 default password {12} login e
user%5Bpassword%5D={12}
a=b&user%5Bpassword%5D={12}&c=d
user%5bpassword%5d%3D{12}
"#;

const HARMLESS: &str = r#"
building '/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-nixos-system-web1-26.05.drv'...
these 12 derivations will be built:
warning: Git tree '/var/lib/switchyard-agent/repo' is dirty
-DTOKEN_TABLE=1 -DPASSWORD_MIN=8
checking whether token=1 works... no
max_tokens=4096
tokens=512
{"prompt_tokens": 4096, "completion_tokens": 512}
keyboard = us
unpacking source archive /nix/store/abc-secretstore-0.1.tar.gz
  token: "identifier"
{"tokens": ["let", "x", "=", "1"]}
secrets = [ "db" "smtp" ];
  "services.openssh.passwordAuthentication": false
[sops-install-secrets] Imported /etc/ssh/ssh_host_rsa_key as GPG key with fingerprint 0123456789abcdef
restarting the following units: secrets-setup.service
error: The option `services.foo.passwordFile' does not exist
services.foo.passwordFile=/run/secrets/db
services.foo.password = config.sops.secrets.db.path;
--password-file=/run/secrets/pw
--token-file /run/secrets/token
SSH_AUTH_SOCK=/run/user/1000/ssh
see https://nixos.org/manual/nix/stable/command-ref/conf-file.html#conf-access-tokens for details
trusted-public-keys = cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=
mail to admin@example.org about the token
bearer of bad news arrives at midnight-tonight
nix.settings.secret-key-files = /etc/nix/key
password_hash=argon2id
Compiling serde_token v1.0
Compiling secrecy v0.8.0
Compiling async-oauth2-token v4.4.2
http://[::1]:8080/path@v2
git clone ssh://git@git.example.org:2222/o/r.git
https://nixos@cache.example.org/nix-cache-info
npm http fetch GET 200 https://registry.npmjs.org/@types/node 52ms
PASS: t0001-init.sh
PASS: test_password (0.01s)
pass=12 fail=0
ok 12 - token is refreshed after 3600s
test auth::tests::a_token_is_checked ... ok
src/auth/token.rs:12:5: warning: unused variable: `token`
   12 |     char *password = NULL;
   12 |     token = strtok(buf, " ");
   12 |     if (token == TOKEN_EOF) return self.token;
   12 |     let token = self.tokens.next();
error: password: required
password: hidden
  --token <token>   The token with which to sign in
  -t, --token string   token of the registry
  --password value    password (default: none)
error: flag --token requires a value
api_key: ${API_KEY}
password = "$PASSWORD"
TOKEN=$GITHUB_TOKEN make
token: ***
secret: my-database-credentials
creating secret/web-tls in namespace default
secret "web-tls" created
Created symlink /etc/systemd/system/key.service -> /nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-unit-key.service/key.service.
hash mismatch: specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= got: sha256-7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7AAAAAAAAAAA=
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3p0000000000000000000000000000000000000000 root@web1
Host key fingerprint is SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDvjC5eJ2zqaXTZg0I
public key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kdr6awxfpsqw0yx
gpg: key 0123456789ABCDEF: public key "Ada" imported
gcc -O2 -fstack-protector -DKEY=1 -DAUTH=yes -c auth.c -o auth.o
-- Looking for pthread_key_create - found
checking for PAM authentication... yes
curl -fsSL https://example.org/install.sh -o install.sh
docker run -u 1000 nginx
installing keys to /etc/keys
keyboard: pc105
author: Ada Lovelace 1815
compass = north2
bypass=1 surpass=2
base64: invalid input
monkey: 42 bananas2
the secret of success is 42
warning: ignoring untrusted substituter 'https://cache.example.org', you are not a trusted user.
CMAKE_EXPORT_COMPILE_COMMANDS=ON X_AUTH=OFF
password=no
secret: /run/secrets/web
"type": "password",
"password": "string",
session: 3 opened
ask-password-wall.path: Deactivated successfully.
basic block 12345678901234567890 is unreachable
sk-learn and task-runner-2024 disk-usage-report-for-all
restore key: cache-key-0123456789abcdef0123456789abcdef
the requirepass directive of Redis is not set, see requirepass in redis.conf
http://cache.example.org:8080/path@v2
https://example.org/a:b/c@d
fetching git+ssh://git@git.example.org:2222/o/r.git?rev=0123456789abcdef0123456789abcdef01234567
oci://registry.example.org:5000/web/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
copying path '/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-7z-24.09' from 'https://cache.nixos.org'...
building '/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-ssh-keygen-hosts.drv'
+ ssh-keygen -A
ssh-keygen -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
+ 7z x archive.7z -oout
+ htpasswd -c /var/lib/web/htpasswd ada
+ smbclient -N -L //server
three problems were identified by the linter: 'unused' and others
devices identified by UUID=0a1b2c3d
SMTP server offers AUTH PLAIN LOGIN
chpasswd: line 1: user 'ada' does not exist
+ echo rooted
root:x:0:0:System administrator:/root:/run/current-system/sw/bin/bash
root:!:1::::::
awk '{print $1$2, $5$6}' file
aws secretsmanager get-secret-value --secret-id prod/db1
secret_id=prod/db1
{"name":"replicas","value":"3"}
{"name":"secretsMounted","value":"true"}
- name: primary_key   value: id
{"name":"password","type":"string"}
  name: token   value: <none>
building '/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-pw-1.0.drv'...
copying path '/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-libpw-0.12.1' from 'https://cache.nixos.org'...
/nix/store/7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7-unit-pw.service
pwd=/root
pwd=
PWD=/x
OLDPWD=/build/source
export PWD=`pwd`
pwd: /x
pw-cli 1.0.5 spw=1 lpw=3
pw = pipewire
pw.h: No such file or directory
   12 | pw = getpwuid(getuid());
   12 |   pw->pw_name = pw_name;
pw_uid=1000 pw_gid=1000
the hour of the day (FW=PW=2)
fn sign(password: &str, salt: &str) {
    secret: Secret<&'key [u8]>,
DB_PW_FILE=/run/secrets/db1
ADMIN_PW=/run/secrets/admin1
ADMIN_PW=${ADMIN_PW}
ADMIN_PW=
[sudo] password for ada1:
Password for 'https://git.example.org':
password for ada1: required
password for ada1: /run/secrets/ada1
the password for ada1 is missing
the password for ada1 will expire in 7 days
the password for ada1 is in /run/secrets/ada1
the password is set
no password for user ada1
password of ada1 has been changed
password has 12 letters
add the password to web1
passwd: password for 'root' changed
token for ada1: expired
the key for web1 is 2048 bits long
pass: 3, fail: 0
pass : 3
pass: 120ms
Pass: 120
"pass": 3, "fail": 0
"pass" : true
{"pass":12,"fail":0}
pass 2: relocating
PASS test1/foo.js
PASS : foo_1.sh
nix build --keep-going -k .#web1
make -k -j8 CC=gcc1
curl -k https://example.org/x1
openssl enc -aes-256-cbc -pass file:/run/secrets/a -in a1
openssl enc -aes-256-cbc -pass env:PASS -in a1
openssl enc -aes-256-cbc -kfile /run/secrets/a -in a1
openssl req -x509 -newkey rsa:4096 -keyout key.pem -out cert.pem -days 365 -nodes
openssl version -k
unzip -p a1.zip file2
zip -r a1.zip folder2
echo done1 | tee log2
echo y1 | sudo tee /etc/x1
error: --password-stdin needs a password on standard input
openssl passwd is deprecated since 3.0
a machine learning login page with a password reset
the machine web1 login prompt is shown, no password
# requirepass foobared
--requirepass <password>
--requirepass $REDIS_PASSWORD --port 1
user default on nopass ~* +@all
user ada turned on > log1
https://git@git.example.org/o/r.git
https://ada.lovelace@git.example.org/o/r
https://ada-lovelace-example-org@git.example.org/ada/_git/r
https://x-access-token@git.example.org/o/r
ssh-ng://nixremotebuilder2024@builder1
https://registry.npmjs.org/@babel/core/-/core-7.0.0.tgz
github:NixOS/nixpkgs/5e2305d577ca00acbba631b05cb1094d172b29f3?narHash=sha256-%2FeLCD%2FX9kaWJqPR47%2BfDozEC87Hjmm3i8gJbYmDAD7g%3D
git+file:///x?narHash=sha256-7b0kq3l0v9d9zy6cz1z8a0c2h1k3m5n7AAAAAAAAApw%3D&rev=5e2305d577ca00acbba631b05cb1094d172b29f3
warning: default password is insecure, change it
trace: warning: default password for user root is used
machine # password for root has been set
machine: default login root password is used
default password was changed
machine a1 password for root
login failed: password incorrect
error: login failed password incorrect
login attempt password failed
fn sign(password: &str2, salt: &str) {
  password authentication
the password for ada1 is old, change it
pass: test1 (0.01s)
PWD=~/x
+ PWD=/x make
cd /x && PWD=/y make
PWD=/x; export PWD
"#;

/// A template with its secret, and that secret.
fn with_secret(template: &str, seed: u64) -> Option<(String, String)> {
    let start = template
        .find('{')
        .into_iter()
        .chain(template.match_indices('{').map(|(at, _)| at));
    let (start, length, letters) = start.filter_map(|at| hole(template, at)).next()?;
    let end = start + template[start..].find('}')? + 1;
    let mut state = seed | 1;
    let secret: String = (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let letter = (state >> 33) % u64::try_from(letters.len()).unwrap();
            char::from(letters.as_bytes()[usize::try_from(letter).unwrap()])
        })
        .collect();
    Some((
        format!("{}{secret}{}", &template[..start], &template[end..]),
        secret,
    ))
}

/// Whether a secret is to stand here: where, how long and of which letters.
fn hole(template: &str, at: usize) -> Option<(usize, usize, &'static str)> {
    let inside = template[at + 1..].split_once('}')?.0;
    let (letters, number) = match inside.as_bytes().first()? {
        b'x' => ("0123456789abcdef", &inside[1..]),
        b'u' => ("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", &inside[1..]),
        b'b' => (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            &inside[1..],
        ),
        _ => (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            inside,
        ),
    };
    Some((at, number.parse().ok()?, letters))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

#[test]
fn no_secret_gets_through_as_tools_print_them() {
    let mut missed = Vec::new();
    for (number, template) in lines(SECRETS).enumerate() {
        for seed in 0..20 {
            let seed = u64::try_from(number).unwrap() * 1000 + seed;
            let Some((line, secret)) = with_secret(template, seed) else {
                continue;
            };
            let got = masked(&line);
            if got.contains(&secret) {
                missed.push(format!("{line} → {got}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn lines_without_secrets_stay_as_they_are() {
    let changed: Vec<_> = lines(HARMLESS)
        .filter(|line| masked(line) != *line)
        .map(|line| (line, masked(line)))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn what_is_around_a_secret_stays() {
    for (line, want) in [
        (
            "token: 0a1b2c3d4e5f6a7b8c9d, user: bob",
            "token: ***, user: bob",
        ),
        ("{token: 0a1b2c3d4e5f6a7b8c9d}", "{token: ***}"),
        (
            "{\"password\": \"a b\", \"port\": 25}",
            "{\"password\": \"***\", \"port\": 25}",
        ),
        (
            "{\\\"password\\\":\\\"ab1\\\",\\\"port\\\":25}",
            "{\\\"password\\\":\\\"***\\\",\\\"port\\\":25}",
        ),
        (
            "<password>hunter2</password><port>25</port>",
            "<password>***</password><port>25</port>",
        ),
        ("PASS: DB_PASSWORD=hunter2", "PASS: DB_PASSWORD=***"),
        ("token: password=hunter2", "token: password=***"),
        ("password: hunter2", "password: ***"),
        (
            "curl -u ada:hunter2 https://example.org",
            "curl -u ada:*** https://example.org",
        ),
        ("Cookie: a=1; b=2", "Cookie: ***"),
        (
            "{\"passwords\": [\"a0b1c2d3e4f5a6b7\", \"a]b\"], \"port\": 25}",
            "{\"passwords\": [\"***\"], \"port\": 25}",
        ),
        (
            "redis://:ab/hunter2@cache:6379/0 is there",
            "redis://:***@cache:6379/0 is there",
        ),
        (
            "{\"name\":\"DB_PASSWORD\",\"value\":\"a b\",\"x\":1}",
            "{\"name\":\"DB_PASSWORD\",\"value\":\"***\",\"x\":1}",
        ),
        (
            "ada:$6$saltsalt$0123456789abcdefghijkl:19700:0:99999:7:::",
            "ada:***:19700:0:99999:7:::",
        ),
        (
            "\"pass\" : \"hunter2\", \"port\" : 25",
            "\"pass\" : \"***\", \"port\" : 25",
        ),
        (
            "the password for ada is: hunter2",
            "the password for ada is: ***",
        ),
        ("password for ada: correct1horse", "password for ada: ***"),
        (
            "Your password is Xk3!9fPq, please change it",
            "Your password is ***, please change it",
        ),
        ("login ada password correcthorse", "login ada password ***"),
        (
            "machine a login b password cc machine d login e password dd",
            "machine a login b password *** machine d login e password ***",
        ),
        ("a%5Bpassword%5D=hunter2&b=1", "a%5Bpassword%5D=***&b=1"),
        (
            "machine a.example.org login ada password correcthorse account b",
            "machine a.example.org login ada password *** account b",
        ),
        (
            "redis-server --requirepass correcthorse --port 1",
            "redis-server --requirepass *** --port 1",
        ),
        (
            "openssl enc -aes256 -pass \"pass:correct horse\" -in a",
            "openssl enc -aes256 -pass \"pass:***\" -in a",
        ),
        ("a%3Fpw%3Dhunter2%26b%3D1", "a%3Fpw%3D***%26b%3D1"),
        (
            "http%3A%2F%2Fbob%3Ahunter2%40proxy%3A3128",
            "http%3A%2F%2Fbob%3A***%40proxy%3A3128",
        ),
        (
            "https://0123456789abcdef0123456789abcdef@sentry.example.org/4",
            "https://***@sentry.example.org/4",
        ),
        (
            "+ htpasswd -b users ada hunter2",
            "+ htpasswd -b users ada ***",
        ),
        (
            "app --password hunter2 --port 25",
            "app --password *** --port 25",
        ),
    ] {
        assert_eq!(masked(line), want);
    }
}

#[test]
fn a_line_of_nothing_but_names_costs_no_more_than_another() {
    let before = cpu_nanos();
    for unit in [
        "token:",
        "password",
        "a_key=",
        "token \u{a0}",
        "auth: x ",
        "--token ",
        "<secret>",
        "password=\"",
        "passwords=[\"",
        "Authorization: ",
        "Cookie: ",
        "authorization: basic ",
        "://",
        "curl -u ",
        "ssh-keygen -N ",
        "echo a:b | ",
        "htpasswd -b ",
        "\"name\":\"token\",",
        "identified by ",
        "7z a -p",
        "$6$a$",
        "://a:b/",
        "pw=",
        "password for ",
        "password is ",
        "password for a b c d e f g h i ",
        "password (",
        "password%3D",
        "%3a%2f%2fa%3a",
        "://a%3A",
        "machine a login b ",
        "default password ",
        "openssl enc ",
        "openssl passwd -6 ",
        " -pass pass:",
        "user a on ",
        "setuser a >",
        "--requirepass ",
        "auth-pass a ",
        "set A_PW ",
        "echo a | ",
        "mongo ",
        "zip -P ",
        "password\u{a0}",
        "default login a ",
        "login a password ",
        "machine a password b login ",
        "password is x1y2 (",
        "a;pwd=/x ",
        "pwd=/x;",
        "%5Bpassword%5D=",
    ] {
        masked(&unit.repeat(60_000 / unit.len()));
    }
    // A tenth of a second; many seconds where each name has the rest of the line looked through.
    if let (Some(before), Some(after)) = (before, cpu_nanos()) {
        assert!(after - before < 10_000_000_000, "{} ns", after - before);
    }
}

#[test]
fn a_line_of_names_and_closing_signs_costs_no_more_than_another() {
    let before = cpu_nanos();
    for name in ["pw:a ", "password is x1y2 ", "{pw:x1,"] {
        let names = name.repeat(32_000 / name.len());
        masked(&format!("{names}pw:ax{}", ")".repeat(32_000)));
    }
    // A twentieth of a second; many where each name has the rest of the line looked through.
    if let (Some(before), Some(after)) = (before, cpu_nanos()) {
        assert!(after - before < 1_500_000_000, "{} ns", after - before);
    }
}

/// How long this thread has run, where the kernel tells.
fn cpu_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
