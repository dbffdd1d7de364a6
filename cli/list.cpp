#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"
#include "cli/load_scenario.hpp"
#include "cli/verbs.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

struct Preset {
  std::string path, about;
};

std::vector<Preset> presets(const fs::path& scenarios) {
  std::vector<Preset> all;
  for (const char* kind : {"train", "network", "layer", "serve"}) {
    if (!fs::is_directory(scenarios / kind)) continue;
    for (const auto& entry : fs::directory_iterator(scenarios / kind)) {
      if (entry.path().extension() != ".json") continue;
      const auto document = read_json(entry.path().string());
      all.push_back({"scenarios/" + std::string(kind) + "/" + entry.path().filename().string(),
                     document.value("about", std::string())});
    }
  }
  std::ranges::sort(all, {}, &Preset::path);
  return all;
}

}  // namespace

int list() {
  const auto all = presets(scenarios_folder());
  std::size_t width = 0;
  for (const Preset& p : all) width = std::max(width, p.path.size());
  for (const Preset& p : all)
    std::cout << p.path << (p.about.empty() ? "" : std::string(width + 2 - p.path.size(), ' ') + p.about) << "\n";
  return kForecast;
}

}  // namespace railcast
