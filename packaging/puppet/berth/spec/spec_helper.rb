# Real catalogues of the classes; no machine is touched.
require 'rspec-puppet'
require 'tmpdir'
require 'fileutils'

module_path = Dir.mktmpdir('berth-modules')
FileUtils.ln_s(File.expand_path('..', __dir__), File.join(module_path, 'berth'))
at_exit { FileUtils.rm_rf(module_path) }

RSpec.configure do |config|
  config.module_path = module_path
  config.default_facts = { 'os' => { 'family' => 'RedHat', 'name' => 'Rocky', 'release' => { 'major' => '9' } } }
end
