#!/bin/sh
# The first process of a pod, in a mount namespace of its own: builds the pod's root directory from the machine's programs and the pod's
# own /etc, /var, /run and volumes, enters it, says so, and sleeps for as long as the pod lives.
#   enter.sh root|user ROOT HOSTNAME [SOURCE TARGET]...
set -e
mode=$1 root=$2 name=$3
shift 3
mount --make-rprivate / 2>/dev/null || :
[ "$mode" = root ] || mount --bind "$root" "$root"
for dir in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /opt /proc /dev /sys; do
  if [ -d "$dir" ] && ! [ -L "$dir" ]; then mount --rbind "$dir" "$root$dir"; fi
done
while [ $# -gt 1 ]; do
  if [ -d "$1" ]; then
    mkdir -p "$root$2"
  else
    mkdir -p "$root${2%/*}"
    [ -e "$root$2" ] || : >"$root$2"
  fi
  mount --bind "$1" "$root$2"
  shift 2
done
hostname "$name" 2>/dev/null || :
if [ "$mode" = user ]; then
  mkdir -p "$root/.old"
  cd "$root"
  pivot_root . .old
  umount -l /.old
  echo ready $$
  exec sleep infinity </dev/null >/dev/null 2>&1
fi
echo ready $$
exec chroot "$root" sleep infinity </dev/null >/dev/null 2>&1
