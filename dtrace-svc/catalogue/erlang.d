#!/usr/sbin/dtrace -s
/* Time from the entry of an Erlang function to its return. */

erlang*:::global-function-entry
$filter$
{
  self->entered[copyinstr(arg1)] = vtimestamp;
}

erlang*:::function-return
/self->entered[copyinstr(arg1)]/
{
  @time[copyinstr(arg1)] = lquantize((vtimestamp - self->entered[copyinstr(arg1)]) / 1000, $start$, $end$, $step$);
  self->entered[copyinstr(arg1)] = 0;
}
