# @summary A value as TOML writes it.
#
# @param value texts cannot hold what TOML would read as more than text: that is what
#   `Berth::Quotable` is for
# @return the value, on one line
function berth::toml(Variant[Berth::Quotable, Integer, Boolean, Array, Hash] $value) >> String {
  case $value {
    String:  { "\"${value}\"" }
    Array:   { "[${value.map |$one| { berth::toml($one) }.join(', ')}]" }
    Hash:    { "{ ${value.map |$key, $one| { "${key} = ${berth::toml($one)}" }.join(', ')} }" }
    default: { String($value) }
  }
}
