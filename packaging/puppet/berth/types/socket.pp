# A Unix socket of this machine, as `unix:///PATH`.
type Berth::Socket = Pattern[/\Aunix:\/\/\/[^"\\\x00-\x1f]+\z/]
