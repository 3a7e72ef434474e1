require_relative '../spec_helper'

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

  context 'with ports for the farm' do
    let(:params) do
      super().merge('firewall' => { 'mode' => 'required', 'allow' => [{ 'to' => '10.1.0.0/16', 'ports' => '6817' }] },
                    'farm' => { 'port_range' => '20000-20999', 'address' => '10.1.0.7', 'networks' => ['10.1.0.0/16'] })
    end

    it 'writes both sections' do
      is_expected.to contain_file('/etc/berth-agent/agent.toml')
        .with_content(%r{^\[firewall\]\nmode = "required"\nallow = \[\{ to = "10\.1\.0\.0/16", ports = "6817" \}\]$})
        .with_content(%r{^\[farm\]\nport_range = "20000-20999"\naddress = "10\.1\.0\.7"\nnetworks = \["10\.1\.0\.0/16"\]$})
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

  [{ 'hub' => 'hub.example.org' }, { 'farm' => { 'port_range' => '20000' } }, { 'firewall' => { 'mode' => 'maybe' } }, { 'images' => [] }, { 'mount_sources' => ['home'] }, { 'images' => ['a"b'] }, { 'hub_key' => 'abc' }].each do |wrong|
    context "with #{wrong}" do
      let(:params) { super().merge(wrong) }

      it { is_expected.to compile.and_raise_error(/parameter '#{wrong.keys.first}'/) }
    end
  end
end
