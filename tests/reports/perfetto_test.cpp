#include "reports/perfetto.hpp"

#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "reports/file.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;

namespace {

/// What protoc makes of the trace, as text.
std::string decoded(const Timed& s) {
  const Scratch scratch;
  const std::string file = scratch.path() + "/t.pftrace";
  write_file(file, [&](std::ostream& out) { write_perfetto(out, s.step, timeline(s.step, s.trace)); });
  const std::string command = "protoc --decode=Trace --proto_path=" RAILCAST_SOURCE_DIR
                              "/tests/reports perfetto.proto < " +
                              file + " > " + scratch.path() + "/text";
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream in(scratch.path() + "/text");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// One packet's scalar fields, by name ("timestamp", "name", "flow_ids" ...); repeated ones keep the last.
using Packet = std::map<std::string, std::string>;

std::vector<Packet> packets(const std::string& text) {
  std::vector<Packet> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line == "packet {") all.emplace_back();
    const auto colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const auto from = line.find_first_not_of(' ');
    all.back()[line.substr(from, colon - from)] = line.substr(colon + 2);
  }
  return all;
}

}  // namespace

TEST_CASE("protoc reads the trace: slices in pairs, in time and without overlap", "[reports][perfetto]") {
  std::map<std::string, long long> last;  // by track: the end of what has been
  std::set<std::string> open, out, in;
  std::size_t slices = 0;
  for (const Packet& p : packets(decoded(one_f_one_b_step()))) {
    if (!p.contains("type")) continue;
    const std::string track = p.at("track_uuid");
    const long long time = std::stoll(p.at("timestamp"));
    CHECK(time >= last[track]);
    last[track] = time;
    const bool begins = p.at("type") == "TYPE_SLICE_BEGIN";
    slices += begins;
    CHECK((begins ? open.insert(track).second : open.erase(track) == 1));
    if (p.contains("flow_ids")) out.insert(p.at("flow_ids"));
    if (p.contains("terminating_flow_ids")) in.insert(p.at("terminating_flow_ids"));
  }
  CHECK(open.empty());
  CHECK(slices == 12);
  CHECK(out.size() == 4);
  CHECK(out == in);
}

TEST_CASE("every track of the trace has a name and a rank as its process", "[reports][perfetto]") {
  std::set<std::string> described, used;
  std::multiset<std::string> names;
  const std::string text = decoded(one_f_one_b_step());
  for (const Packet& p : packets(text)) {
    if (p.contains("uuid")) described.insert(p.at("uuid"));
    if (p.contains("parent_uuid")) CHECK(described.contains(p.at("parent_uuid")));
    if (p.contains("process_name")) names.insert(p.at("process_name"));
    if (p.contains("track_uuid")) used.insert(p.at("track_uuid"));
    for (const auto& [field, value] : p) CHECK(field.find_first_of("0123456789") == std::string::npos);  // unknown
  }
  for (const std::string& track : used) CHECK(described.contains(track));
  CHECK(names == std::multiset<std::string>{"\"rank 0 (pipeline rank 0)\"", "\"rank 1 (pipeline rank 1)\""});
  CHECK(text.find("name: \"ATTN(F) L0 mb 1\"") != std::string::npos);
}
