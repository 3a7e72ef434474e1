require_relative '../spec_helper'

describe 'berth::cli' do
  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_package('berth').with_ensure('installed') }

  context 'with a version' do
    let(:params) { { 'package_ensure' => '0.1.0' } }

    it { is_expected.to contain_package('berth').with_ensure('0.1.0') }
  end
end
