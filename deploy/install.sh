#!/usr/bin/env bash
# CoreCMR on plain Debian: sudo deploy/install.sh HOST ADMIN_EMAIL [SMTP_HOST]
# Run again it upgrades: nothing that exists is overwritten but the program itself.
set -euo pipefail
host=${1:?"name the site's host, such as corecmr.hospital.nhs.uk"}
admin=${2:?"name the address that ACME and the site's mail use"}
smtp=${3:-localhost}
source=$(cd "$(dirname "$0")/.." && pwd)
home=/opt/corecmr
data=/var/lib/corecmr
settings=/etc/corecmr/corecmr.env
export DEBIAN_FRONTEND=noninteractive

((EUID == 0)) || { echo "Run it as root: it installs packages and services." >&2; exit 1; }

apt-get -qq update
apt-get -qq install --yes --no-install-recommends \
    python3 python3-venv make git rsync postgresql caddy libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core

id corecmr >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /usr/sbin/nologin corecmr
install -d -o corecmr -g corecmr -m 0700 "$data"
install -d -m 0755 "$home"
install -d -m 0750 -g corecmr /etc/corecmr
rsync -a --delete --exclude .git --exclude var --exclude .venv --exclude node_modules "$source"/ "$home"/

if ! sudo -u postgres psql -tAc "SELECT 1 FROM pg_roles WHERE rolname='corecmr'" | grep -q 1; then
    sudo -u postgres createuser corecmr
fi
if ! sudo -u postgres psql -tAc "SELECT 1 FROM pg_database WHERE datname='corecmr'" | grep -q 1; then
    sudo -u postgres createdb --owner corecmr corecmr
fi

secret() { python3 -c 'import secrets; print(secrets.token_urlsafe(60))'; }
if [[ ! -e $settings ]]; then
    umask 027
    cat >"$settings" <<EOF
DJANGO_SETTINGS_MODULE=corecmr.settings.production
SECRET_KEY=$(secret)
CORECMR_DEIDENTIFICATION_KEY=$(secret)
CORECMR_IDENTITY_KEYS=$(secret)
CORECMR_MFA_KEY=$(secret)
CORECMR_TRUSTED_PROXIES=1
CORECMR_VAR_DIR=$data
DATABASE_URL=postgresql:///corecmr?host=/var/run/postgresql
ALLOWED_HOSTS=$host
EMAIL_HOST=$smtp
CORECMR_FROM_EMAIL=CoreCMR <$admin>
CORECMR_LOG_FORMAT=json
CORECMR_WATCH_TOKEN=$(secret)
CORECMR_WATCH_CERTIFICATE_OF=$host
CORECMR_BACKUP_RECIPIENTS=
EOF
    chgrp corecmr "$settings"
    chmod 0640 "$settings"
    echo "Secrets were made in $settings. Keep a copy of them away from this machine and its backups."
fi

cd "$home"
make setup-site
run() { systemd-run --quiet --pipe --wait --uid=corecmr --working-directory="$home" \
    --property=EnvironmentFile="$settings" .venv/bin/python manage.py "$@"; }
run migrate --no-input
run createcachetable
run collectstatic --no-input --verbosity 0
run check --deploy --fail-level WARNING

install -m 0644 deploy/systemd/*.service deploy/systemd/*.timer /etc/systemd/system/
install -d /etc/systemd/system/caddy.service.d
printf '[Service]\nEnvironment=CORECMR_HOST=%s\n' "$host" >/etc/systemd/system/caddy.service.d/corecmr.conf
install -m 0644 deploy/Caddyfile /etc/caddy/Caddyfile
systemctl daemon-reload
systemctl enable --now corecmr-web corecmr-worker corecmr-retention.timer corecmr-digest.timer
grep -q '^CORECMR_BACKUP_RECIPIENTS=age1' "$settings" && systemctl enable --now corecmr-backup.timer
systemctl restart corecmr-web corecmr-worker caddy
echo "CoreCMR runs at https://$host. The first two administrators: manage.py bootstrap_admins (docs/deployment.md)."
grep -q '^CORECMR_BACKUP_RECIPIENTS=age1' "$settings" ||
    echo "Not backed up yet: make a key (manage.py backup --new-key), put its public part into $settings, run this again."
