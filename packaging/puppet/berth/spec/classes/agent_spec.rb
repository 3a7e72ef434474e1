require_relative '../spec_helper'

# The keys of a file like agent.toml with their sections, also those in examples behind a #.
def keys(text)
  section = nil
  text.lines.filter_map do |line|
    case line
    when /^#?\[([a-z_]+)\]$/ then section = Regexp.last_match(1); nil
    when /^#?([a-z_]+) = / then [section, Regexp.last_match(1)]
    end
  end
end

describe 'berth::agent' do
  let(:params) { { 'hub' => 'hub.example.org:8443', 'mount_sources' => ['/pbs/home', '/sps'], 'images' => ['reg/nb/'] } }

  it { is_expected.to compile.with_all_deps }

  it 'writes what the agent reads, checked before it is put in place' do
    is_expected.to contain_file('/etc/berth-agent/agent.toml')
      .with_content(%r{^hub = "hub\.example\.org:8443"$})
      .with_content(%r{^mount_sources = \["/pbs/home", "/sps"\]$})
      .with_validate_cmd('/usr/bin/berth-agent --config % check --file-only')
      .without_content(/^name =/)
  end

  it 'replaces the tunnel in place: users\' bytes go through it' do
    is_expected.to contain_service('berth-agent-tunnel').with_restart(/ reload /)
  end

  it { is_expected.not_to contain_exec('berth-agent: join') }

  context 'with a join token' do
    let(:params) { super().merge('join_token' => sensitive('berth1.secret')) }

    it 'joins once, with the token neither in the catalogue\'s text nor on a command line' do
      is_expected.to contain_exec('berth-agent: join').with_creates('/var/lib/berth-agent/link.pem')
      expect(catalogue.resource('Exec', 'berth-agent: join')[:command]).not_to match(/secret/)
    end
  end

  context 'with everything that the agent can be told' do
    let(:params) do
      super().merge(
        'host_name' => 'ccjn01', 'report_every' => '2s', 'memory' => '32 GB', 'starts_at_once' => 4,
        'registries' => '/etc/berth-agent/registries.toml', 'api_url' => 'http://{gateway}:8000/hub/api',
        'min_uid' => 500, 'deny_gids' => [0, 10], 'deny_groups' => ['root', 'docker'],
        'memory_max' => '64 GB', 'loans' => false,
        'gpus' => { 'manage' => true, 'only' => ['GPU-00000000-0000-0000-0000-000000000001'],
                    'library' => '/usr/lib64/libnvidia-ml.so.1', 'give' => 'cdi' },
        'firewall' => { 'mode' => 'required', 'nft' => '/usr/sbin/nft',
                        'allow' => [{ 'to' => '10.1.0.0/16', 'ports' => '6817' }, { 'to' => 'gateway', 'ports' => '8000-8010' }] },
        'farm' => { 'port_range' => '20000-20999', 'address' => '10.1.0.7', 'name' => 'ccjn01.example.org',
                    'networks' => ['10.1.0.0/16'] },
        'floors' => { 'runc' => '1.2.8', 'toolkit' => '1.17.8', 'engine' => '26.0' },
        'logs' => { 'format' => 'ecs', 'level' => 'info' }
      )
    end
    let(:written) { catalogue.resource('File', '/etc/berth-agent/agent.toml')[:content] }

    it 'writes every key that the package\'s own file explains, and no other' do
      explained = File.read(File.expand_path('../../../../etc/agent.toml', __dir__))
      expect(keys(written)).to match_array(keys(explained))
      # The agent itself is asked about this text by the test of the packages.
      File.write(ENV['AGENT_TOML'], written) if ENV['AGENT_TOML']
    end

    it 'writes values as TOML has them' do
      expect(written).to include(<<~TOML)
        tunnel = { listen = "0.0.0.0:8444", user = "berth-tunnel" }
        report_every = "2s"
        memory = "32 GB"
      TOML
      expect(written).to include(<<~TOML)
        [firewall]
        mode = "required"
        nft = "/usr/sbin/nft"
        allow = [{ to = "10.1.0.0/16", ports = "6817" }, { to = "gateway", ports = "8000-8010" }]
      TOML
      expect(written).to include("deny_gids = [0, 10]\n", "loans = false\n")
    end
  end

  context 'with the hash of the hub\'s key' do
    let(:node) { 'ccjn01.example.org' }
    let(:params) { super().merge('hub_key' => '0f' * 32) }

    it 'joins once, with the Puppet certificate as proof' do
      is_expected.to contain_exec('berth-agent: join by Puppet')
        .with_creates('/var/lib/berth-agent/link.pem')
        .with_command(%r{join --puppet /etc/puppetlabs/puppet/ssl --certname ccjn01\.example\.org --hub-key (0f){32}$})
    end

    context 'and a join token' do
      let(:params) { super().merge('join_token' => sensitive('berth1.secret')) }

      it { is_expected.to contain_exec('berth-agent: join') }
      it { is_expected.not_to contain_exec('berth-agent: join by Puppet') }
    end
  end

  [{ 'hub' => 'hub.example.org' }, { 'farm' => { 'port_range' => '20000' } }, { 'firewall' => { 'mode' => 'maybe' } }, { 'images' => [] }, { 'mount_sources' => ['home'] }, { 'images' => ['a"b'] }, { 'memory' => '32' }, { 'floors' => { 'runc' => 'new' } }, { 'logs' => { 'level' => 'loud' } }, { 'gpus' => { 'give' => 'all' } }, { 'docker' => 'tcp://hub:2375' }, { 'hub_key' => 'abc' }].each do |wrong|
    context "with #{wrong}" do
      let(:params) { super().merge(wrong) }

      it { is_expected.to compile.and_raise_error(/parameter '#{wrong.keys.first}'/) }
    end
  end
end
