# @summary A machine on which notebook servers run: package, file, certificates, services.
#
# Each key of agent.toml has a parameter; what is not given is the agent's own default.
#
# @example A host that joins with its Puppet certificate as proof
#   class { 'berth::agent':
#     hub           => 'hub.example.org:8443',
#     hub_key       => lookup('berth_hub_key'),
#     mount_sources => ['/pbs/home', '/sps'],
#     images        => ['registry.example.org/notebooks/'],
#   }
#
# @param hub the hub's link address
# @param mount_sources folders below which a server's spaces must lie
# @param images how image names must begin; `*` allows all
# @param host_name the name in the hub's hosts.toml, if not the machine's own
# @param join_token from `berth host add NAME -q`; needed once, and only until the host has joined
# @param hub_key from `berth-hub key-hash`: the host joins once with its Puppet certificate as proof,
#   if the hub's `puppet_ca` names Puppet's authority and no join_token is given
# @param puppet_ssldir where Puppet's agent keeps its certificate and key
# @param state where keys and certificates are
# @param run where sockets and the servers' passwd and group files are
# @param docker the Docker Engine's socket
# @param tunnel_listen the one port for the proxy
# @param tunnel_user the account of the process that holds it; that of the unit
# @param report_every time between two reports in which nothing happened, e.g. `5s`
# @param memory memory that servers may have; what the kernel says by default
# @param registries a file of root's with logins to registries of images
# @param starts_at_once servers that may be starting at the same time; one a processor by default
# @param api_url the hub's API as servers of this host reach it, in place of what the hub says
# @param create_home what to do when a HOME is not there
# @param users whose word counts about uids and groups
# @param min_uid lower uids are never served
# @param deny_gids groups that no server gets, by number
# @param deny_groups groups that no server gets, by the name that the host knows them under
# @param memory_max most memory for one server
# @param loans whether the hub may lend a server memory of this host for a while
# @param gpus the host's GPUs
# @param firewall what servers cannot reach
# @param farm ports of servers that the compute farm reaches; they need a firewall that is required
# @param floors versions below which `berth-agent check` finds a program wrong
# @param logs what agent and tunnel log, and how
# @param package_ensure a version, or what Puppet says of packages
# @param package_source where the RPM lies, if no repository has it
# @param package_provider how it is installed, e.g. `rpm` with a package_source
# @param manage_services whether agent and tunnel are started and enabled
class berth::agent (
  Berth::Address                        $hub,
  Array[Berth::Path, 1]                 $mount_sources,
  Array[Berth::Quotable, 1]             $images,
  Optional[Berth::Quotable]             $host_name        = undef,
  Optional[Sensitive[String[1]]]        $join_token       = undef,
  Optional[Pattern[/\A[0-9a-f]{64}\z/]] $hub_key          = undef,
  Berth::Path                           $puppet_ssldir    = '/etc/puppetlabs/puppet/ssl',
  Berth::Path                           $state            = '/var/lib/berth-agent',
  Berth::Path                           $run              = '/run/berth-agent',
  Berth::Socket                         $docker           = 'unix:///run/docker.sock',
  Berth::Address                        $tunnel_listen    = '0.0.0.0:8444',
  Berth::Quotable                       $tunnel_user      = 'berth-tunnel',
  Optional[Pattern[/\A\d+ ?m?s\z/]]     $report_every     = undef,
  Optional[Berth::Amount]               $memory           = undef,
  Optional[Berth::Path]                 $registries       = undef,
  Optional[Integer[1]]                  $starts_at_once   = undef,
  Optional[Berth::Quotable]             $api_url          = undef,
  Enum['never', 'missing']              $create_home      = 'never',
  Enum['nss', 'hub']                    $users            = 'nss',
  Optional[Integer[0]]                  $min_uid          = undef,
  Optional[Array[Integer[0]]]           $deny_gids        = undef,
  Optional[Array[Berth::Quotable]]      $deny_groups      = undef,
  Optional[Berth::Amount]               $memory_max       = undef,
  Optional[Boolean]                     $loans            = undef,
  Optional[Berth::Gpus]                 $gpus             = undef,
  Optional[Berth::Firewall]             $firewall         = undef,
  Optional[Berth::Farm]                 $farm             = undef,
  Optional[Berth::Floors]               $floors           = undef,
  Optional[Berth::Logs]                 $logs             = undef,
  String[1]                             $package_ensure   = 'installed',
  Optional[String[1]]                   $package_source   = undef,
  Optional[String[1]]                   $package_provider = undef,
  Boolean                               $manage_services  = true,
) {
  $file = '/etc/berth-agent/agent.toml'

  package { 'berth-agent':
    ensure   => $package_ensure,
    source   => $package_source,
    provider => $package_provider,
  }

  $agent = {
    'name'           => $host_name,
    'hub'            => $hub,
    'state'          => $state,
    'run'            => $run,
    'docker'         => $docker,
    'tunnel'         => { 'listen' => $tunnel_listen, 'user' => $tunnel_user },
    'report_every'   => $report_every,
    'memory'         => $memory,
    'registries'     => $registries,
    'starts_at_once' => $starts_at_once,
    'api_url'        => $api_url,
  }
  $limits = {
    'users'         => $users,
    'min_uid'       => $min_uid,
    'deny_gids'     => $deny_gids,
    'deny_groups'   => $deny_groups,
    'mount_sources' => $mount_sources,
    'images'        => $images,
    'memory_max'    => $memory_max,
    'loans'         => $loans,
  }
  # What is not given is not written.
  $sections = {
    'agent'    => $agent.filter |$key, $value| { $value =~ NotUndef },
    'gpus'     => $gpus,
    'firewall' => $firewall,
    'farm'     => $farm,
    'floors'   => $floors,
    'logs'     => $logs,
    'home'     => { 'create' => $create_home },
    'limits'   => $limits.filter |$key, $value| { $value =~ NotUndef },
  }.filter |$name, $keys| { $keys =~ NotUndef }

  file { $file:
    ensure       => file,
    owner        => 'root',
    group        => 'berth-tunnel',
    mode         => '0640',
    content      => epp('berth/agent.toml.epp', { 'sections' => $sections }),
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
