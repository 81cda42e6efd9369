# Makes a source of gems in /srv/gems: Debian's rainbow as the gem it was, one that needs it, and
# one that does not build. Ruby and cpanminus stay installed.
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --no-install-recommends cpanminus ruby > /dev/null 2>&1
mkdir -p /srv/gems/gems /tmp/made
cd /tmp/made
apt-get download ruby-rainbow > /dev/null 2>&1
dpkg -x ruby-rainbow_*.deb debian
version=$(basename debian/usr/share/rubygems-integration/all/specifications/rainbow-*.gemspec .gemspec)
mkdir ext
cp -R "$(dirname "$(find debian -name rainbow.rb)")" lib
echo 'require "mkmf"; create_makefile("x")' > ext/extconf.rb
gemspec() {
  cat > "$1.gemspec" << SPEC
Gem::Specification.new do |s|
  s.name, s.version, s.summary, s.authors = "$1", "$2", "$1", ["a"]
  $3
end
SPEC
  gem build --quiet "$1.gemspec" > /dev/null 2>&1
}
gemspec rainbow "${version#rainbow-}" 's.files = Dir["lib/**/*.rb"]'
gemspec probe 1.0 's.files = []; s.add_dependency "rainbow"'
gemspec native 1.0 's.files = ["ext/extconf.rb"]; s.extensions = ["ext/extconf.rb"]'
mv ./*.gem /srv/gems/gems
gem generate_index --quiet --directory /srv/gems > /dev/null
rm -rf /tmp/made
