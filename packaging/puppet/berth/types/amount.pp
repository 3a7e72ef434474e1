# An amount of memory, e.g. `32 GB`.
type Berth::Amount = Pattern[/\A\d+(\.\d+)? ?[KMGT]i?B\z/]
