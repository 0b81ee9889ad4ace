#!/usr/sbin/dtrace -s
/* System calls as they are entered. */

syscall:::entry
$filter$
{
  @calls[execname, probefunc] = count();
}
