# A machine with systemd, Puppet, rpm and dnf, for tests of the packages.
FROM berth/base:bookworm
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN apt-get update \
 && apt-get install -y --no-install-recommends systemd systemd-sysv dbus rpm dnf puppet-agent iproute2 \
 && rm -rf /var/lib/apt/lists/*
CMD ["sh", "-c", "mount -o remount,rw,bind /sys/fs/cgroup; for c in /sys/fs/cgroup/*; do mount -o remount,rw,bind $c; done; exec /lib/systemd/systemd"]
