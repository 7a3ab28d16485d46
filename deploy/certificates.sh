#!/bin/bash
# Makes the certificates with which the parts of compose.yaml speak TLS to each other: an authority of
# their own, and one certificate for each part. Run again, it keeps the authority and renews the rest.
#
#     deploy/certificates.sh [FOLDER]        default: deploy/secrets/tls
#
# ca.key signs new certificates; keep it off the machine that runs the containers.
set -euo pipefail
umask 077

folder=${1:-$(dirname "$0")/secrets/tls}
days=${CERTIFICATE_DAYS:-365}
mkdir -p "$folder"
cd "$folder"

if [ ! -e ca.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
        -keyout ca.key -out ca.crt -subj "/CN=Secaplane parts" \
        -addext "basicConstraints=critical,CA:true,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" 2> /dev/null
fi

# name, user that reads the key, further names
certificate() {
    local name=$1 user=$2 names="DNS:$1,DNS:localhost,IP:127.0.0.1" more
    for more in "${@:3}"; do names+=",DNS:$more"; done
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
        -keyout "$name.key.new" -out "$name.csr" -subj "/CN=$name" 2> /dev/null
    openssl x509 -req -sha256 -days "$days" -in "$name.csr" -CA ca.crt -CAkey ca.key \
        -set_serial "0x$(openssl rand -hex 16)" -out "$name.crt.new" -extfile <(
            echo "subjectAltName=$names"
            echo "basicConstraints=critical,CA:false"
            echo "keyUsage=critical,digitalSignature"
            echo "extendedKeyUsage=serverAuth,clientAuth"
        ) 2> /dev/null
    rm "$name.csr"
    mv "$name.key.new" "$name.key"
    mv "$name.crt.new" "$name.crt"
    chmod 644 "$name.crt"
    [ "$(id -u)" != 0 ] || chown "$user" "$name.key"
}

certificate nats 10001 nats-1 nats-2 nats-3
certificate postgres 999 postgres-b
for name in command query projector reconcilers notary cloud; do certificate "$name" 10001; done
chmod 644 ca.crt
chmod 755 .
