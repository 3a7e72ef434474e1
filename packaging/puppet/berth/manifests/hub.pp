# @summary Hub and proxy: package, files, services.
#
# Files are checked by the installed hub, together with all that is in the folder, before one of
# them is replaced: a typo fails the run and changes nothing. The hub takes new files over by
# itself, so no service is notified.
#
# @example One file a subject
#   class { 'berth::hub':
#     files => {
#       'hub.toml'            => { 'source'  => 'puppet:///modules/profile/berth/hub.toml' },
#       'proxy.toml'          => { 'source'  => 'puppet:///modules/profile/berth/proxy.toml' },
#       'hosts.d/10-cpu.toml' => { 'content' => "version = 1\nhost = [ ... ]\n" },
#     },
#   }
#
# @param files the site's files: a name in /etc/berth, and `content` or `source`
# @param purge whether files that Puppet does not know are removed from /etc/berth, but for its folder secrets
# @param package_ensure a version, or what Puppet says of packages
# @param package_source where the RPM lies, if no repository has it
# @param package_provider how it is installed, e.g. `rpm` with a package_source
# @param manage_services whether hub and proxy are started and enabled
class berth::hub (
  Hash[Berth::File, Berth::Text] $files            = {},
  Boolean                        $purge            = true,
  String[1]                      $package_ensure   = 'installed',
  Optional[String[1]]            $package_source   = undef,
  Optional[String[1]]            $package_provider = undef,
  Boolean                        $manage_services  = true,
) {
  $folder = '/etc/berth'

  package { 'berth-hub':
    ensure   => $package_ensure,
    source   => $package_source,
    provider => $package_provider,
  }

  file { $folder:
    ensure  => directory,
    owner   => 'root',
    group   => 'berth',
    mode    => '0750',
    recurse => $purge,
    purge   => $purge,
    force   => $purge,
    # What the files name as secrets is nobody's to remove.
    ignore  => 'secrets',
    require => Package['berth-hub'],
  }

  $names     = $files.keys
  $fragments = $names.filter |$name| { $name =~ /\// }.map |$name| { $name.split('/')[0] }.unique
  $fragments.each |$fragment| {
    file { "${folder}/${fragment}":
      ensure  => directory,
      owner   => 'root',
      group   => 'berth',
      mode    => '0750',
      recurse => $purge,
      purge   => $purge,
    }
  }

  $files.each |$name, $text| {
    # The proxy reads its own file; the others are the hub's.
    $check = $name ? {
      'proxy.toml' => '/usr/bin/berth-proxy --config % --check',
      default      => "/usr/bin/berth-hub config check ${folder} --with-file ${folder}/${name}=%",
    }
    file { "${folder}/${name}":
      ensure       => file,
      owner        => 'root',
      group        => 'berth',
      mode         => '0640',
      content      => $text['content'],
      source       => $text['source'],
      validate_cmd => $check,
      before       => Exec['berth: all files together'],
    }
  }

  # What one file alone could not tell: a name that no other file has brought.
  exec { 'berth: all files together':
    command     => "/usr/bin/berth-hub config check ${folder}",
    refreshonly => true,
    logoutput   => 'on_failure',
    subscribe   => File[$folder],
  }

  if $manage_services {
    service { ['berth-hub', 'berth-proxy']:
      ensure  => running,
      enable  => true,
      require => Exec['berth: all files together'],
    }
  }
}
