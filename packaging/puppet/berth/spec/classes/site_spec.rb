require_relative '../spec_helper'

# The machines of examples/site, from the Hiera data of packaging/puppet/site.
site = File.expand_path('../../../site', __dir__)
config = File.expand_path('../../../../../examples/site/config', __dir__)

describe 'berth::hub' do
  let(:hiera_config) { File.join(site, 'hiera.yaml') }
  let(:facts) { { 'role' => 'berth_hub' } }

  it { is_expected.to compile.with_all_deps }

  it 'has every file of the site, and no other' do
    there = Dir.glob('**/*.toml', base: config).map { |name| "/etc/berth/#{name}" }
    ours = catalogue.resources.select { |it| it.type == 'File' && it[:source] }.map(&:title)
    expect(ours).to match_array(there)
  end
end

describe 'berth::agent' do
  let(:hiera_config) { File.join(site, 'hiera.yaml') }

  { 'berth_worker' => 4, 'berth_gpu' => 2 }.each do |role, starts|
    context "on a #{role}" do
      let(:facts) { { 'role' => role } }

      it 'is written with what holds for all and what this machine is' do
        is_expected.to compile.with_all_deps
        is_expected.to contain_file('/etc/berth-agent/agent.toml')
          .with_content(/^starts_at_once = #{starts}$/)
          .with_content(%r{^hub = "notebook-hub\.example\.org:8443"$})
          .with_content(%r{"/sps", "/cvmfs"\]$})
      end
    end
  end
end
