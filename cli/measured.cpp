#include "cli/measured.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "cli/json.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

std::string letters(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) out += static_cast<char>(std::tolower(c));
  return out;
}

/// Two rows of one key would be one measurement counted twice, or two that disagree.
void refuse_repeats(const std::vector<CalibrationRow>& rows) {
  std::map<std::string, std::string> seen;
  for (const CalibrationRow& r : rows) {
    if (is_collective(r.shape)) continue;  // a sweep repeats sizes, and so measures its own noise
    const std::string key = describe(r.shape) + " " + std::to_string(r.sms) + " " + r.method + " " + r.impl;
    const auto [before, fresh] = seen.emplace(key, r.where);
    if (!fresh) throw BadInput(r.where, "", "this key stands twice, first at " + before->second + "; keep one row");
  }
}

}  // namespace

bool collective_named(const std::string& name, std::int64_t bytes, std::int64_t ranks, Shape& shape) {
  const std::string n = letters(name);
  if (n.find("allreduce") != std::string::npos)
    shape = AllReduce{bytes, ranks, ranks};
  else if (n.find("allgather") != std::string::npos)
    shape = AllGather{bytes, ranks, ranks};
  else if (n.find("reducescatter") != std::string::npos)
    shape = ReduceScatter{bytes, ranks, ranks};
  else if (n.find("alltoall") != std::string::npos)
    shape = AllToAll{bytes, ranks, ranks};
  else
    return false;
  return true;
}

void agree_on_device(const std::string& where, const std::string& device, const MeasuredDefaults& d, Measured& out) {
  if (device.empty() && d.device.empty())
    throw BadInput(where, "", "the file does not say on which device it was measured; give --device, such as h100");
  if (!device.empty() && !d.device.empty() && letters(device).find(letters(d.device)) == std::string::npos)
    throw BadInput(where, "", "measured on \"" + device + "\", not on the device asked for, " + d.device);
  const std::string own = device.empty() ? d.device : device;
  const auto chip = [](const std::string& text) { return text.substr(0, text.find_first_of(",(")); };
  if (out.device.empty()) out.device = own;
  if (letters(chip(out.device)) != letters(chip(own)) && d.device.empty())
    throw BadInput(where, "",
                   "measured on \"" + own + "\", the files before it on \"" + out.device +
                       "\"; fit each device from a folder of its own");
}

Measured load_measured_file(const std::string& path, const MeasuredDefaults& d) {
  Measured out;
  const std::string ending = fs::path(path).extension().string();
  const bool read = ending == ".csv"    ? read_measured_csv(path, d, out)
                    : ending == ".json" ? read_measured_json(path, d, out)
                                        : read_measured_text(path, d, out);
  if (!read) out.left_out.push_back(path + ": no table of a shape");
  return out;
}

Measured load_measured(const std::string& path, const MeasuredDefaults& d) {
  if (!fs::exists(path)) throw BadInput(path, "", "no such file or folder; expected measured rows");
  std::vector<std::string> files;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path))
      for (const char* ending : {".csv", ".json", ".txt"})
        if (entry.path().extension() == ending && entry.path().filename() != "fit.json")
          files.push_back(entry.path().string());
  } else {
    files.push_back(path);
  }
  std::ranges::sort(files);
  Measured all;
  for (const std::string& file : files) {
    Measured one = load_measured_file(file, d);
    if (!one.rows.empty()) agree_on_device(file, one.device, d, all);
    all.rows.insert(all.rows.end(), one.rows.begin(), one.rows.end());
    all.left_out.insert(all.left_out.end(), one.left_out.begin(), one.left_out.end());
  }
  if (all.rows.empty()) throw BadInput(path, "", "holds no measured row of a shape");
  refuse_repeats(all.rows);
  return all;
}

}  // namespace railcast
