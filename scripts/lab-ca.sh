#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A certificate authority for a lab, and certificates for aggregators, agents and people.
set -eu

usage() {
  cat <<'END'
Usage: scripts/lab-ca.sh FOLDER ca
       scripts/lab-ca.sh FOLDER aggregator NAME [DNS:HOST|IP:ADDRESS …]
       scripts/lab-ca.sh FOLDER agent ID
       scripts/lab-ca.sh FOLDER client NAME

Makes FOLDER/ca.crt and FOLDER/ca.key, or FOLDER/NAME.crt and FOLDER/NAME.key signed by them; again with the same
name: a new certificate in place of the old one, in one step each. An agent's id is in the SAN as
URI:flowdam-agent:ID. DAYS (default 825) says how long a certificate is valid; 0: it has expired. Keys have no
passphrase: for real networks use your own authority.
END
}

[ $# -ge 2 ] || { usage >&2; exit 2; }
folder=$1 what=$2 name=${3-}
days=${DAYS-825}
umask 077
mkdir -p "$folder"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# sign NAME SUBJECT SAN USAGE
sign() {
  work=$(mktemp -d "$folder/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  key "$work/key"
  openssl req -new -key "$work/key" -subj "/O=Flowdam lab/CN=$2" -out "$work/csr"
  {
    echo "basicConstraints = critical, CA:false"
    echo "keyUsage = critical, digitalSignature"
    echo "extendedKeyUsage = $4"
    [ -z "$3" ] || echo "subjectAltName = $3"
  } > "$work/extensions"
  # Since OpenSSL 3.0 -days -1 makes a certificate that ended yesterday.
  if [ "$days" -gt 0 ]; then length=$days; else length=-1; fi
  openssl x509 -req -in "$work/csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -days "$length" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/crt" 2> "$work/log" ||
    { cat "$work/log" >&2; exit 1; }
  mv "$work/key" "$folder/$1.key"
  mv "$work/crt" "$folder/$1.crt"
}

case $what in
ca)
  key "$folder/ca.key"
  openssl req -x509 -new -key "$folder/ca.key" -subj "/O=Flowdam lab/CN=Flowdam lab authority" -days 3650 \
    -addext "basicConstraints = critical, CA:true" -addext "keyUsage = critical, keyCertSign, cRLSign" \
    -out "$folder/ca.crt"
  ;;
aggregator)
  [ -n "$name" ] || { usage >&2; exit 2; }
  shift 3
  san="DNS:$name"
  for more in "$@"; do san="$san, $more"; done
  sign "$name" "$name" "$san" "serverAuth, clientAuth"
  ;;
agent)
  [ -n "$name" ] || { usage >&2; exit 2; }
  sign "$name" "$name" "URI:flowdam-agent:$name" clientAuth
  ;;
client)
  [ -n "$name" ] || { usage >&2; exit 2; }
  sign "$name" "$name" "" clientAuth
  ;;
*)
  usage >&2
  exit 2
  ;;
esac
