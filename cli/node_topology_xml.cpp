// NCCL's <system><cpu><pci>...<gpu><nvlink/></gpu> and <nic><net/></nic>; numbers are attributes.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <pugixml.hpp>
#include <set>

#include "cli/node_topology.hpp"
#include "model/scenario.hpp"

namespace railcast {
namespace {

constexpr const char* kSwitchClass = "0x068000";  // PCI class of an NVSwitch; a GPU's is 0x03...
constexpr int kMostDepth = 32;                    // of bridges; real nodes have five
constexpr std::int64_t kMostGpus = 1024;

struct XmlGpu {
  std::string busid;
  std::int64_t links = 0;
  bool to_switch = false;
  std::set<std::string> peers;  ///< bus ids of GPUs that it is linked to
};

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void system(const pugi::xml_node& system) {
    for (const pugi::xml_node& child : system.children()) {
      if (!std::strcmp(child.name(), "cpu")) bus(child, "", 0);
      if (!std::strcmp(child.name(), "gpu") || !std::strcmp(child.name(), "pci"))
        refuse("<" + std::string(child.name()) + "> stands under no <cpu>: nothing reaches it");
    }
  }
  NodeTopology topology() {
    if (gpus_.empty()) refuse("names no <gpu>; expected the file that NCCL_TOPO_DUMP_FILE writes");
    out_.gpus = std::int64_t(gpus_.size());
    links();
    if (out_.nvlinks == 0 && out_.pcie == 0)
      refuse("no GPU has an <nvlink>, nor a link_speed and link_width of its PCIe");
    if (!speeds_.empty()) nics();
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { throw BadInput(file_, "", what); }

  std::int64_t number(const pugi::xml_node& n, const char* key, std::int64_t most) const {
    const pugi::xml_attribute a = n.attribute(key);
    const char* const text = a.value();
    std::int64_t v = 0;
    const auto [rest, error] = std::from_chars(text, text + std::strlen(text), v);
    if (!a || error != std::errc{} || *rest != 0 || v < 0 || v > most)
      refuse("<" + std::string(n.name()) + "> " + key + "=\"" + text + "\": expected a whole number from 0 to " +
             std::to_string(most));
    return v;
  }

  // Bridges nest; a GPU's or NIC's own <pci> is the innermost.
  void bus(const pugi::xml_node& at, const std::string& busid, int depth) {
    if (depth > kMostDepth) refuse("<pci> nests deeper than " + std::to_string(kMostDepth));
    for (const pugi::xml_node& child : at.children()) {
      const std::string name = child.name();
      if (name == "pci") bus(child, child.attribute("busid").value(), depth + 1);
      if (name == "nic")
        for (const pugi::xml_node& net : child.children("net")) ++speeds_[number(net, "speed", 10'000'000)];
      if (name == "gpu") gpu(child, at, busid);
    }
  }

  void gpu(const pugi::xml_node& node, const pugi::xml_node& pci, const std::string& busid) {
    if (busid.empty()) refuse("a <gpu> stands under no <pci busid=...>: nothing reaches it");
    if (std::int64_t(gpus_.size()) == kMostGpus) refuse("more than " + std::to_string(kMostGpus) + " GPUs");
    XmlGpu g{busid, 0, false, {}};
    for (const pugi::xml_node& l : node.children("nvlink")) {
      g.links += number(l, "count", 64);
      const bool to_switch = !std::strcmp(l.attribute("tclass").value(), kSwitchClass);
      g.to_switch = g.to_switch || to_switch;
      if (!to_switch) g.peers.insert(l.attribute("target").value());
    }
    const std::int64_t sm = number(node, "sm", 1000);
    if (!gpus_.empty() && sm != out_.compute_capability) refuse("has GPUs of several kinds; expected equal ones");
    for (const XmlGpu& other : gpus_)
      if (other.busid == busid) refuse("the GPU " + busid + " stands twice");
    out_.compute_capability = sm;
    const double rate = pcie_rate(pci);
    out_.pcie = gpus_.empty() ? rate : std::min(out_.pcie, rate);
    gpus_.push_back(g);
  }

  // link_speed="32.0 GT/s PCIe": 128 of 130 bits are data (from PCIe 3 on).
  double pcie_rate(const pugi::xml_node& pci) const {
    if (!pci.attribute("link_speed") || !pci.attribute("link_width")) return 0;
    const double gt = pci.attribute("link_speed").as_double();
    if (!(gt > 0 && gt <= 256))
      refuse("<pci> link_speed=\"" + std::string(pci.attribute("link_speed").value()) +
             "\": expected a speed such as \"32.0 GT/s PCIe\"");
    return gt * 1e9 / 8 * 128 / 130 * double(number(pci, "link_width", 32));
  }

  void links() {
    const auto [least, most] = std::ranges::minmax(gpus_, {}, &XmlGpu::links);
    if (most.links == 0) return;
    if (least.links == 0 && out_.gpus > 1)
      refuse("GPU " + least.busid + " has no NVLink, but GPU " + most.busid + " has " + std::to_string(most.links) +
             ": the one cannot be reached from the other over NVLink");
    if (least.links != most.links)
      out_.notes.push_back("GPU " + least.busid + " has " + std::to_string(least.links) + " NVLinks, GPU " +
                           most.busid + " " + std::to_string(most.links) + ": all are given the least");
    for (const XmlGpu& a : gpus_) check_peers(a);
    out_.nvlinks = least.links;
  }

  void check_peers(const XmlGpu& a) const {
    const auto known = [&](const std::string& id) {
      return std::ranges::find(gpus_, id, &XmlGpu::busid) != gpus_.end();
    };
    for (const std::string& peer : a.peers)
      if (!known(peer))
        refuse("GPU " + a.busid + " has an NVLink to " + peer + ", which is no GPU and no NVSwitch here");
    if (a.to_switch) return;
    for (const XmlGpu& b : gpus_)
      if (b.busid != a.busid && !a.peers.contains(b.busid))
        refuse("GPU " + b.busid + " cannot be reached from GPU " + a.busid +
               " over NVLink; expected an NVSwitch, or links between all GPUs");
  }

  // Management ports are slower: the fastest kind is the fabric's.
  void nics() {
    const auto [speed, count] = *speeds_.rbegin();
    if (speeds_.size() > 1) out_.notes.push_back("NICs slower than " + std::to_string(speed) + " Mb/s are left out");
    if (speed == 0) refuse("<net> speed=\"0\": expected the NIC's Mb/s");
    out_.nics = count, out_.nic = double(speed) * 1e6 / 8;
  }

  std::string file_;
  NodeTopology out_;
  std::vector<XmlGpu> gpus_;
  std::map<std::int64_t, std::int64_t> speeds_;  ///< Mb/s -> how many
};

}  // namespace

NodeTopology parse_nccl_topology(const std::string& xml, const std::string& file) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size());
  if (!parsed) {
    const auto line =
        1 + std::count(xml.begin(), xml.begin() + std::min<std::ptrdiff_t>(parsed.offset, std::ssize(xml)), '\n');
    throw BadInput(
        file, "", "line " + std::to_string(line) + ": not valid XML (is the file truncated?): " + parsed.description());
  }
  const pugi::xml_node system = document.child("system");
  if (!system) throw BadInput(file, "", "has no <system>; expected the file that NCCL_TOPO_DUMP_FILE writes");
  Reader reader(file);
  reader.system(system);
  return reader.topology();
}

}  // namespace railcast
