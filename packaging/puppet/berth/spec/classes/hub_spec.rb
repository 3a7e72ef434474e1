require_relative '../spec_helper'

describe 'berth::hub' do
  let(:params) do
    { 'files' => {
      'hub.toml' => { 'content' => "version = 1\n" },
      'proxy.toml' => { 'source' => 'puppet:///modules/profile/proxy.toml' },
      'hosts.d/10-cpu.toml' => { 'content' => "version = 1\n" },
    } }
  end

  it { is_expected.to compile.with_all_deps }

  it 'asks the hub before it replaces a file' do
    is_expected.to contain_file('/etc/berth/hosts.d/10-cpu.toml')
      .with_mode('0640').with_group('berth')
      .with_validate_cmd('/usr/bin/berth-hub config check /etc/berth --with-file /etc/berth/hosts.d/10-cpu.toml=%')
  end

  it 'asks the proxy about its own file' do
    is_expected.to contain_file('/etc/berth/proxy.toml')
      .with_validate_cmd('/usr/bin/berth-proxy --config % --check')
  end

  it 'never restarts hub or proxy for a file: the hub takes it over by itself' do
    ['berth-hub', 'berth-proxy'].each do |name|
      is_expected.to contain_service(name).with_ensure('running').with_enable(true)
      service = catalogue.resource('Service', name)
      expect(service[:subscribe]).to be_nil
    end
    catalogue.resources.each { |resource| expect(resource[:notify].to_s).not_to match(/Service/) }
  end

  it 'removes what Puppet does not know, unless told otherwise' do
    is_expected.to contain_file('/etc/berth').with_purge(true).with_recurse(true).with_ignore('secrets')
    is_expected.to contain_file('/etc/berth/hosts.d').with_purge(true)
  end

  context 'with a name that is no subject file' do
    let(:params) { { 'files' => { '../passwd' => { 'content' => 'x' } } } }

    it { is_expected.to compile.and_raise_error(/files/) }
  end

  context 'with both content and source' do
    let(:params) { { 'files' => { 'hub.toml' => { 'content' => 'x', 'source' => 'y' } } } }

    it { is_expected.to compile.and_raise_error(/files/) }
  end
end
