/** Lines that typically say why something failed, and lines that only look like it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_QUERY, lineKind } from '../../../web/model/line-kind.js';

const ERRORS = `
foo.c:12:5: error: 'x' undeclared (first use in this function)
foo.c:1:10: fatal error: zlib.h: No such file or directory
hello> src/main.cpp:3:10: error: no matching function for call to 'f(int)'
foo.c:9:1: internal compiler error: Segmentation fault
cc1: error: unrecognized command-line option '-fbogus'
c++: fatal error: Killed signal terminated program cc1plus
/nix/store/xyz-binutils-2.44/bin/ld: main.o: in function 'main': main.c:(.text+0x5): undefined reference to 'foo'
/nix/store/xyz-binutils-2.44/bin/ld: cannot find -lfoo: No such file or directory
collect2: error: ld returned 1 exit status
ld.lld: error: undefined symbol: foo
clang: error: linker command failed with exit code 1 (use -v to see invocation)
make: *** [Makefile:12: all] Error 2
make[2]: *** No rule to make target 'x.o', needed by 'all'.  Stop.
linux-6.12.30-modules> make[3]: *** [scripts/Makefile.build:229: drivers/gpu/foo.o] Error 1
ninja: build stopped: subcommand failed.
FAILED: src/foo.o
CMake Error at CMakeLists.txt:3 (find_package):
-- Configuring incomplete, errors occurred!
meson.build:12:0: ERROR: Dependency "glib-2.0" not found, tried pkgconfig
configure: error: no acceptable C compiler found in $PATH
error[E0308]: mismatched types
error: could not compile 'foo' (lib) due to 1 previous error
thread 'main' panicked at src/main.rs:3:5:
thread 'tokio-runtime-worker' (12) panicked at src/main.rs:3:5:
test result: FAILED. 1 passed; 1 failed; 0 ignored
./main.go:5:2: undefined: foo
main.go:3:8: package example.com/x is not in std
--- FAIL: TestThing (0.00s)
FAIL	example.com/x	0.012s
panic: runtime error: index out of range [3] with length 3
npm ERR! code ELIFECYCLE
npm error code E404
npm error 404 Not Found - GET https://registry.npmjs.org/x
Traceback (most recent call last):
ModuleNotFoundError: No module named 'setuptools'
subprocess.CalledProcessError: Command '['make']' returned non-zero exit status 2.
E   AssertionError: assert 1 == 2
FAILED tests/test_x.py::test_y - AssertionError: assert 1 == 2
ERROR: Could not find a version that satisfies the requirement foo
Exception in thread "main" java.lang.NullPointerException
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin
src/Main.hs:10:5: error: [GHC-88464]
1 out of 3 hunks FAILED -- saving rejects to file src/x.c.rej
Hunk #1 FAILED at 12.
error: builder for '/nix/store/xyz-foo.drv' failed with exit code 1
error: hash mismatch in fixed-output derivation '/nix/store/xyz-source.drv':
error:
       error: attribute 'nginxx' missing
fatal: unable to access 'https://git.example.org/x/': Could not resolve host: git.example.org
substituteStream() in derivation foo-1.0: ERROR: pattern x doesn't match anything in file 'Makefile'
/build/run.sh: line 3: frobnicate: command not found
cp: cannot stat 'result/x': No such file or directory
mkdir: cannot create directory '/var/empty/x': Permission denied
tar: x: Cannot write: No space left on device
Segmentation fault (core dumped)
Killed
Out of memory: Killed process 1234 (cc1plus) total-vm:8123456kB
virtual memory exhausted: Cannot allocate memory
nix-daemon.service: A process of this unit has been killed by the OOM killer. oom-kill
Job for nginx.service failed because the control process exited with error code.
nginx.service: Failed with result 'exit-code'.
nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)
Nov 27 15:00:01 web1 nginx[123]: nginx: [emerg] bind() to [::]:443 failed (98: Address already in use)
Failed to start Nginx Web Server.
× nginx.service - Nginx Web Server
    Process: 123 ExecStart=/nix/store/x/bin/nginx (code=exited, status=1/FAILURE)
warning: the following units failed: nginx.service
Activation script snippet 'users' failed (1)
Failed to run activate script
Pre-switch check 'dbus' failed
Pre-switch checks failed
Failed to install bootloader
✗ nginx answers
\x1b[31;1merror:\x1b[0m no
`;

const HARMLESS = `
0 errors
0 errors, 3 warnings
Summary: 0 error(s), 2 warning(s)
    0 Error(s)
error: 0, warnings: 3
Errors: 0
errors: 0
no errors found
✗ 0 errors
checking for strerror... yes
checking for error.h... yes
checking whether -Werror works... no
gcc -O2 -Wno-error -Werror=format-security -c error.c -o error.o
  CC      lib/error.o
   Compiling thiserror v1.0.69
test result: ok. 5 passed; 0 failed; 0 ignored
test fails_on_error ... ok
test panics - should panic ... ok
=== 5 passed, 0 failed ===
# fail 0
failed 0
fail: 0
Failures: 0
0 failed units
Failed units: 0
copying path '/nix/store/xyz-perl5.40-Error-0.17029' from 'https://cache.nixos.org'...
building '/nix/store/xyz-perl5.40-Error-0.17029.drv'...
PASS: test-errors
--- PASS: TestError (0.00s)
ok   example.com/errors  0.012s
make[1]: Entering directory '/build/error'
make: [Makefile:3: clean] Error 1 (ignored)
installing error-page.html
patching file src/error.c
Hunk #1 succeeded at 12 (offset 2 lines).
Started Nginx Web Server.
the following new units were started: failed-unit-notify.service
building the system configuration...
warning: error-prone API
note: run with RUST_BACKTRACE=1 environment variable to display a backtrace
npm warn deprecated rimraf@3.0.2
npm notice New version available
--enable-werror=no
max_errors = 5
error_log /var/log/nginx/error.log;
`;

/** @param {string} text */
const lines = (text) => text.trim().split('\n').map((line) => line.replaceAll('\\x1b', '\x1b'));

test('lines that say why something failed are marked', () => {
  assert.ok(lines(ERRORS).length >= 52);
  assert.deepEqual(lines(ERRORS).filter((line) => lineKind(line) !== 'error'), []);
});

test('lines that only look like it are not', () => {
  assert.ok(lines(HARMLESS).length >= 30);
  assert.deepEqual(lines(HARMLESS).filter((line) => lineKind(line) === 'error'), []);
});

test('the marks are searched by the dashboard with the same expression, which it takes', () => {
  assert.ok(new TextEncoder().encode(ERROR_QUERY.text).length <= 1000, `${ERROR_QUERY.text.length} letters`);
  const found = new RegExp(ERROR_QUERY.text);
  // eslint-disable-next-line no-control-regex
  const plain = (/** @type {string} */ line) => line.replace(/\x1b\[[\d;]*m/g, '');
  for (const line of lines(ERRORS)) assert.match(plain(line), found);
  for (const line of lines(HARMLESS)) assert.doesNotMatch(line, found);
});
