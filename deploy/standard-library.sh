#!/bin/sh
# For the image: compiles the standard library, which the official image delivers uncompiled, so that no
# process compiles it at each start; and removes the wheel of pip in it. The result does not depend on the
# time of the build.
set -eu

library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
rm -rf "$library/ensurepip"
find "$library" -name __pycache__ -prune -exec rm -rf {} +
# Some files of its own tests and tools are not for this version of the language.
PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' "$library"
find "$library" \( -name '*.pyc' -o -type d \) -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
