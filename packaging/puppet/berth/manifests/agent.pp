# @summary A machine on which notebook servers run: package, file, certificates, services.
#
# @param hub the hub's link address
# @param mount_sources folders below which a server's spaces must lie
# @param images how image names must begin; `*` allows all
# @param host_name the name in the hub's hosts.toml, if not the machine's own
# @param join_token from `berth host add NAME -q`; needed once, and only until the host has joined
# @param hub_key from `berth-hub key-hash`: the host joins once with its Puppet certificate as proof,
#   if the hub's `puppet_ca` names Puppet's authority and no join_token is given
# @param puppet_ssldir where Puppet's agent keeps its certificate and key
# @param users whose word counts about uids and groups
# @param create_home what to do when a HOME is not there
# @param tunnel_listen the one port for the proxy
# @param state where keys and certificates are
# @param run where sockets and the servers' passwd and group files are
# @param docker the Docker Engine's socket
# @param firewall what servers cannot reach
# @param farm ports of servers that the compute farm reaches; they need a firewall that is required
# @param settings more keys of section `[agent]`, as TOML lines
# @param limits more keys of section `[limits]`, as TOML lines
# @param package_ensure a version, or what Puppet says of packages
# @param package_source where the RPM lies, if no repository has it
# @param package_provider how it is installed, e.g. `rpm` with a package_source
# @param manage_services whether agent and tunnel are started and enabled
class berth::agent (
  Berth::Address                 $hub,
  Array[Berth::Path, 1]    $mount_sources,
  Array[Berth::Quotable, 1]      $images,
  Optional[Berth::Quotable]      $host_name        = undef,
  Optional[Sensitive[String[1]]] $join_token       = undef,
  Optional[Pattern[/\A[0-9a-f]{64}\z/]] $hub_key  = undef,
  Berth::Path                    $puppet_ssldir    = '/etc/puppetlabs/puppet/ssl',
  Enum['nss', 'hub']             $users            = 'nss',
  Enum['never', 'missing']       $create_home      = 'never',
  Berth::Address                 $tunnel_listen    = '0.0.0.0:8444',
  Berth::Path                    $state            = '/var/lib/berth-agent',
  Berth::Path                    $run              = '/run/berth-agent',
  Pattern[/\Aunix:\/\/\//]       $docker           = 'unix:///run/docker.sock',
  Optional[Berth::Firewall]      $firewall         = undef,
  Optional[Berth::Farm]          $farm             = undef,
  Array[String[1]]               $settings         = [],
  Array[String[1]]               $limits           = [],
  String[1]                      $package_ensure   = 'installed',
  Optional[String[1]]            $package_source   = undef,
  Optional[String[1]]            $package_provider = undef,
  Boolean                        $manage_services  = true,
) {
  $file = '/etc/berth-agent/agent.toml'

  package { 'berth-agent':
    ensure   => $package_ensure,
    source   => $package_source,
    provider => $package_provider,
  }

  file { $file:
    ensure       => file,
    owner        => 'root',
    group        => 'berth-tunnel',
    mode         => '0640',
    content      => epp('berth/agent.toml.epp', {
        'hub'           => $hub,
        'host_name'     => $host_name,
        'state'         => $state,
        'run'           => $run,
        'docker'        => $docker,
        'tunnel_listen' => $tunnel_listen,
        'firewall'      => $firewall,
        'farm'          => $farm,
        'settings'      => $settings,
        'create_home'   => $create_home,
        'users'         => $users,
        'mount_sources' => $mount_sources,
        'images'        => $images,
        'limits'        => $limits,
    }),
    validate_cmd => '/usr/bin/berth-agent --config % check --file-only',
    require      => Package['berth-agent'],
  }

  if $join_token {
    exec { 'berth-agent: join':
      command     => 'echo "$BERTH_JOIN_TOKEN" | /usr/bin/berth-agent join -',
      environment => Sensitive(["BERTH_JOIN_TOKEN=${join_token.unwrap}"]),
      provider    => shell,
      creates     => "${state}/link.pem",
      require     => File[$file],
    }
    $joined = [Exec['berth-agent: join']]
  } elsif $hub_key {
    exec { 'berth-agent: join by Puppet':
      command => shellquote(
        '/usr/bin/berth-agent', 'join', '--puppet', $puppet_ssldir,
        '--certname', $trusted['certname'], '--hub-key', $hub_key
      ),
      creates => "${state}/link.pem",
      require => File[$file],
    }
    $joined = [Exec['berth-agent: join by Puppet']]
  } else {
    $joined = []
  }

  if $manage_services {
    # What is in the file is read at the start. The agent's restart touches no container; users'
    # bytes go through the tunnel, so that one is replaced in place.
    service {
      default:
        ensure    => running,
        enable    => true,
        subscribe => File[$file],
        require   => $joined,
      ;
      'berth-agent':
      ;
      'berth-agent-tunnel':
        restart => '/usr/bin/systemctl reload berth-agent-tunnel',
      ;
    }
  }
}
