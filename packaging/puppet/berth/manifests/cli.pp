# @summary The command `berth`, its manual and completion.
#
# @param package_ensure a version, or what Puppet says of packages: `installed`, `latest`, `absent`
# @param package_source where the RPM lies, if no repository has it
# @param package_provider how it is installed, e.g. `rpm` with a package_source
class berth::cli (
  String[1]           $package_ensure   = 'installed',
  Optional[String[1]] $package_source   = undef,
  Optional[String[1]] $package_provider = undef,
) {
  package { 'berth':
    ensure   => $package_ensure,
    source   => $package_source,
    provider => $package_provider,
  }
}
