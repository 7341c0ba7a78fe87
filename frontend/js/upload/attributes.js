// What becomes of the attributes that most often tell who a patient is, for the preview. A test
// holds this list to what the site does.

export const REMOVED = 'Removed';
const EMPTY = 'Left empty';
const PSEUDONYM = 'A pseudonym, made with your trust’s key';
const UID = 'Another UID, made with your trust’s key';
const MOVED = 'Moved back by one to ten years, alike in all files of this patient';
const KEPT = 'Kept: flow is computed with it';
const WORDS = 'Only words that the site knows, such as stress or rest';
const KNOWN = 'Kept if the site knows this name';

/** Tag, name, what takes its place. */
export const ATTRIBUTES = [
  [0x00100010, 'Patient’s Name', PSEUDONYM],
  [0x00100020, 'Patient ID', PSEUDONYM],
  [0x00100030, 'Patient’s Birth Date', EMPTY],
  [0x00100032, 'Patient’s Birth Time', REMOVED],
  [0x00101000, 'Other Patient IDs', REMOVED],
  [0x00101001, 'Other Patient Names', REMOVED],
  [0x00101005, 'Patient’s Birth Name', REMOVED],
  [0x00101040, 'Patient’s Address', REMOVED],
  [0x00101060, 'Patient’s Mother’s Birth Name', REMOVED],
  [0x00102154, 'Patient’s Telephone Numbers', REMOVED],
  [0x00102160, 'Ethnic Group', REMOVED],
  [0x00102180, 'Occupation', REMOVED],
  [0x001021b0, 'Additional Patient History', REMOVED],
  [0x001021f0, 'Patient’s Religious Preference', REMOVED],
  [0x00104000, 'Patient Comments', REMOVED],
  [0x00080050, 'Accession Number', REMOVED],
  [0x00080080, 'Institution Name', REMOVED],
  [0x00080081, 'Institution Address', REMOVED],
  [0x00081040, 'Institutional Department Name', REMOVED],
  [0x00081010, 'Station Name', REMOVED],
  [0x00080090, 'Referring Physician’s Name', REMOVED],
  [0x00081048, 'Physician(s) of Record', REMOVED],
  [0x00081050, 'Performing Physician’s Name', REMOVED],
  [0x00081060, 'Name of Physician(s) Reading Study', REMOVED],
  [0x00081070, 'Operators’ Name', REMOVED],
  [0x00321032, 'Requesting Physician', REMOVED],
  [0x00081030, 'Study Description', REMOVED],
  [0x00081080, 'Admitting Diagnoses Description', REMOVED],
  [0x00321060, 'Requested Procedure Description', REMOVED],
  [0x00181030, 'Protocol Name', REMOVED],
  [0x00204000, 'Image Comments', REMOVED],
  [0x00200010, 'Study ID', REMOVED],
  [0x00400253, 'Performed Procedure Step ID', REMOVED],
  [0x00400254, 'Performed Procedure Step Description', REMOVED],
  [0x0008103e, 'Series Description', WORDS],
  [0x00181000, 'Device Serial Number', PSEUDONYM],
  [0x00080070, 'Manufacturer', KNOWN],
  [0x00081090, 'Manufacturer’s Model Name', KNOWN],
  [0x00080020, 'Study Date', MOVED],
  [0x00080021, 'Series Date', MOVED],
  [0x00080022, 'Acquisition Date', MOVED],
  [0x00080023, 'Content Date', MOVED],
  [0x00080032, 'Acquisition Time', KEPT],
  [0x00101030, 'Patient’s Weight', 'Kept'],
  [0x00100040, 'Patient’s Sex', 'Kept'],
  [0x00101010, 'Patient’s Age', 'Kept, up to 90 years'],
  [0x0020000d, 'Study Instance UID', UID],
  [0x0020000e, 'Series Instance UID', UID],
  [0x00080018, 'SOP Instance UID', UID],
];
