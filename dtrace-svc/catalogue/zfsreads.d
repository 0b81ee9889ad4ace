#!/usr/sbin/dtrace -s
/* Time from the entry of zfs_read to its return. */

fbt::zfs_read:entry
$filter$
{
  self->entered = timestamp;
}

fbt::zfs_read:return
/self->entered/
{
  @time[execname] = lquantize((timestamp - self->entered) / 1000, $start$, $end$, $step$);
  self->entered = 0;
}
